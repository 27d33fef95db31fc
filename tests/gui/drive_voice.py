"""Runs inside a Blender with a window (see test_voice_window.py): a voice from the sequencer, a transcript, and a video
that is chosen in the file browser."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
from drive_window import FRAMES, OUT, SRC, addon, character, finished, inside, photograph, result, settled

WORDS = "[happy 0.7] Good morning to you all. (sad) And then a rather sad ending."


def story() -> Generator[float, None, None]:
    yield from prepare()
    yield from speak()
    yield from words()
    yield from capture()


def prepare() -> Iterator[float]:
    """A character whose voice is a muted strip, with a transcript in a text."""
    window.install("performance.sentences.SentencesPanel")
    yield from window.arrange()
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, FRAMES
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    with inside("VIEW_3D"):
        bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=str(SRC / "portrait.png"))
    yield from finished()
    window.frame_the_plane()
    sequencer, group = addon("scene.speech.sequencer"), character().edtalk
    sequencer.add_sound(scene, next(SRC.glob("voice.*")), 1)
    strip = sequencer.strips(scene)[0]
    strip.mute = True
    group.voice_from, group.speech.strip = "STRIP", strip.name
    group.speech.transcript_from, group.speech.text = "TEXT", bpy.data.texts.new("Words")
    group.speech.text.write(WORDS)
    yield from photographed("panel.png")
    with inside("VIEW_3D"):
        result["emotions"] = list(bpy.ops.edtalk.emotions_from_transcript())
    group.speech.transcript_from = "FILE"
    yield from photographed("mistake.png")
    group.speech.transcript_from = "TEXT"


def photographed(name: str) -> Iterator[float]:
    """The whole sidebar."""
    with inside("VIEW_3D"):
        bpy.ops.screen.screen_full_area()
    for _ in range(4):  # Blender opens panels bit by bit
        yield 0.5
        window.area("VIEW_3D").tag_redraw()
    yield 0.5
    photograph(name)
    with inside("VIEW_3D"):
        bpy.ops.screen.screen_full_area()
    yield 1.0


def can_mix() -> bool:
    """Does this Blender write sound? Those of distributions may not, with an FFmpeg that is newer than they know."""
    path = OUT / "mix.wav"
    bpy.ops.sound.mixdown(filepath=str(path), container="WAV", codec="PCM", format="S16")
    return path.is_file() and path.stat().st_size > 0


def speak() -> Iterator[float]:
    """Mixing must be told of before the window stands still."""
    stages: set[str] = set()
    result["can mix"] = can_mix()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.predict("INVOKE_DEFAULT")
    while (task := addon("ui.runtime.runtime").session().task) is not None:
        stages.add(task.progress.stage)
        yield 0.005
    yield from settled()
    result["stages"], result["trouble"] = sorted(stages), addon("ui.runtime.runtime").session().failure
    result["curves"] = len(addon("scene.keys.actions").curves(character()))
    photograph("spoken.png")


def words() -> Iterator[float]:
    """Emotions of the words are curves; a sentence is clicked and fixed, words are marked, and all of it is undone."""
    group, scene = character().edtalk, bpy.context.scene
    group.voice_from, group.voice = "FILE", str(next(SRC.glob("voice.*")))
    with inside("VIEW_3D"):
        bpy.ops.edtalk.predict("INVOKE_DEFAULT")
    yield from finished()
    yield from settled()
    group = character().edtalk
    result["sentences"] = [[item.name, item.emotion, item.timed] for item in group.speech.sentences]
    sheet = addon("scene.keys.layers").find_sheet(character(), "emotions")
    result["felt"] = len(sheet.curves()) if sheet is not None else 0
    group.speech.sentence = 1
    result["jumped to"] = [scene.frame_current, round(group.speech.sentences[1].start)]
    with inside("VIEW_3D"):
        bpy.ops.edtalk.mark_words("INVOKE_DEFAULT")
        result["marks"] = len(scene.timeline_markers)
    yield from photographed("sentences.png")
    photograph("marks.png")
    with inside("VIEW_3D"):
        bpy.ops.edtalk.clear_word_marks("INVOKE_DEFAULT")
        bpy.ops.ed.undo_push(message="before the fix")
        bpy.ops.edtalk.fix_emotion("INVOKE_DEFAULT", True, emotion="angry")
    result["fixed"] = character().edtalk.speech.text.as_string()
    result["marks left"] = len(scene.timeline_markers)
    yield from window.undo()
    result["undone"] = character().edtalk.speech.text.as_string()


def capture() -> Iterator[float]:
    """A movie is chosen in the file browser, and the character follows it."""
    movie = SRC / "driver.mp4"
    with inside("VIEW_3D"):
        bpy.ops.edtalk.capture("INVOKE_DEFAULT")
    yield 3.0
    photograph("choose.png")
    yield from window.choose_file(movie)
    result["capturing"] = addon("ui.runtime.runtime").session().task is not None
    photograph("capturing.png")
    yield from finished(limit=400)
    yield from settled()
    photograph("captured.png")
    result["kept"] = character().edtalk.speech.captured
    strip = character().animation_data.nla_tracks["EDTalk Performance"].strips[0]
    result["performance"] = [strip.frame_start, strip.frame_end]


if __name__ == "__main__":
    window.begin(story())
