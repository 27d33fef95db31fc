"""The voice as the animator hears it, what it says, and performances from videos."""

from __future__ import annotations

import ctypes
import importlib
import os
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

pytestmark = pytest.mark.versions

FILM = Fraction(24_000, 1001)
M_PERTURB = -6
"""The C library's option to fill memory as it is handed out (malloc.h of GNU)."""


@pytest.fixture
def scene(addon: Any) -> bpy.types.Scene:
    here = bpy.context.scene
    here.sequence_editor_create()
    return here


@pytest.fixture
def hearing() -> Iterator[None]:
    """Blender can hear; and what it reads before it wrote it is not silence, as fresh memory is by chance."""
    pytest.importorskip("aud", reason="this Blender module has no sound")
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if set_option is not None:
        set_option(M_PERTURB, 165)
    yield
    if set_option is not None:
        set_option(M_PERTURB, 0)


def write_wav(path: Path, samples: np.ndarray, rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def clicks(path: Path, seconds: float, at: list[float], rate: int = 16000) -> Path:
    samples = np.zeros(int(seconds * rate))
    samples[[round(second * rate) for second in at]] = 30000
    return write_wav(path, samples, rate)


def heard_at(path: Path) -> np.ndarray:
    """The seconds at which there are clicks in a WAV file."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        loud = np.flatnonzero(np.abs(samples[:, 0].astype(int)) > 2500)
        starts = loud[np.diff(loud, prepend=-10_000) > 1000]
        return starts / file.getframerate()


def add(addon: Any, scene: bpy.types.Scene, path: Path, frame: int, channel: int) -> bpy.types.Strip:
    return (
        addon("scene.speech.sequencer")
        .strips(scene)
        .new_sound(name=path.stem, filepath=str(path), channel=channel, frame_start=frame)
    )


def add_text(addon: Any, scene: bpy.types.Scene, text: str, first: int, last: int) -> bpy.types.Strip:
    strips = addon("scene.speech.sequencer").strips(scene)
    options = {"name": "text", "type": "TEXT", "channel": 8, "frame_start": first}
    try:
        strip = strips.new_effect(**options, length=last - first)
    except TypeError:  # before 5.0
        strip = strips.new_effect(**options, frame_end=last)
    strip.text = text
    return strip


def keys(addon: Any, ob: bpy.types.Object, path: str) -> dict[float, float]:
    curve = addon("scene.keys.actions").find(ob, path)
    return {key.co[0]: key.co[1] for key in curve.keyframe_points} if curve is not None else {}


# --- what is heard ---------------------------------------------------------------------------------------------------


def test_ten_minutes_at_23_976_do_not_drift(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, tmp_path: Path
) -> None:
    scene.render.fps, scene.render.fps_base = 24, 1.001
    scene.frame_start, scene.frame_end = 101, 101 + round(600 * FILM)
    resting.edtalk.voice_from = "SCENE"
    seconds = [1.0, 100.0, 299.9, 450.25, 599.0]
    add(addon, scene, clicks(tmp_path / "long.wav", 600.0, seconds), 101, 1)
    lone = clicks(tmp_path / "lone.wav", 0.5, [0.1])
    places = [3000, 14_000]
    for frame in places:
        add(addon, scene, lone, frame, 2)
    expected = sorted([101 + second * FILM for second in seconds] + [f + 0.1 * FILM for f in places])
    voice = addon("scene.speech.sound").voice_of(resting, scene, tmp_path)
    frames = [float(voice.time.frame(second)) for second in heard_at(voice.path)]
    assert len(frames) == len(expected), frames
    misses = np.abs(np.array(frames) - np.array(expected, float))
    assert misses.max() <= 0.05, misses


@pytest.mark.parametrize(
    ("rate", "heard", "film"),
    [(8000, 8000, 8000), (12_000, 12_000, 12_000), (16_000, 16_000, 16_000), (48_000, 16_000, 48_000)],
)
def test_the_voice_is_as_fine_as_its_sound_is_and_ends_on_no_click(
    addon: Any,
    scene: bpy.types.Scene,
    resting: bpy.types.Object,
    hearing: None,
    tmp_path: Path,
    rate: int,
    heard: int,
    film: int,
) -> None:
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 0, 60
    resting.edtalk.voice_from = "SCENE"
    silence = write_wav(tmp_path / "silence.wav", np.zeros(round(0.73 * rate)), rate)
    for channel in (1, 2, 3, 4):
        add(addon, scene, silence, 3 + 4 * channel, channel)
    (tmp_path / "film").mkdir()
    predicted = addon("scene.speech.sound").voice_of(resting, scene, tmp_path).path
    played, _ = addon("ui.bake.movie_operator")._voice(resting, scene, range(61), tmp_path / "film")
    for path, mixed in ((predicted, heard), (played, film)):
        with wave.open(str(path)) as file:
            assert file.getframerate() == mixed
        assert not heard_at(path).size


def test_a_coarse_sound_makes_no_music_dull(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, tmp_path: Path
) -> None:
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 0, 60
    resting.edtalk.voice_from = "SCENE"
    for channel, rate in enumerate((16_000, 48_000), start=1):
        add(addon, scene, write_wav(tmp_path / f"{rate}.wav", np.zeros(rate), rate), 0, channel)
    played, _ = addon("ui.bake.movie_operator")._voice(resting, scene, range(61), tmp_path)
    with wave.open(str(played)) as file:
        assert file.getframerate() == 48_000


def test_a_telephone_elsewhere_in_the_shot_does_not_make_the_voice_coarse(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, tmp_path: Path
) -> None:
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 0, 500
    resting.edtalk.voice_from = "SCENE"
    for frame, rate in ((0, 16_000), (300, 8_000)):
        add(addon, scene, write_wav(tmp_path / f"{rate}.wav", np.zeros(2 * rate), rate), frame, 1)
    for first, expected in ((0, 16_000), (300, 8_000)):
        voice = addon("scene.speech.sound").voice_of(resting, scene, tmp_path, range(first, first + 20))
        with wave.open(str(voice.path)) as file:
            assert file.getframerate() == expected


@pytest.mark.parametrize("first", [0, 40, 200])
def test_only_the_range_and_a_second_around_it_is_mixed(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, tmp_path: Path, first: int
) -> None:
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 0, 250
    resting.edtalk.voice_from = "SCENE"
    add(addon, scene, clicks(tmp_path / "clicks.wav", 10.0, [0.2, 2.0, 9.0]), 0, 1)
    voice = addon("scene.speech.sound").voice_of(resting, scene, tmp_path, range(first, first + 20))
    with wave.open(str(voice.path)) as file:
        assert file.getnframes() / file.getframerate() < 3.0
    (second,) = heard_at(voice.path)
    assert voice.time.frame(second) == pytest.approx({0: 5, 40: 50, 200: 225}[first], abs=0.02)
    assert (scene.frame_start, scene.frame_end) == (0, 250)


def test_one_strip_speaks_as_it_is_trimmed_whatever_else_plays(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, tmp_path: Path
) -> None:
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, 200
    mine = add(addon, scene, clicks(tmp_path / "mine.wav", 6.0, [0.4, 2.0, 5.6]), 11, 1)
    other = add(addon, scene, clicks(tmp_path / "other.wav", 6.0, [1.0, 3.0]), 1, 2)
    if hasattr(mine, "left_handle_offset"):  # 5.2, where the old names are on their way out
        mine.left_handle_offset, mine.right_handle_offset = 25.0, 25.0
    else:
        mine.frame_offset_start, mine.frame_offset_end = 25.0, 25.0
    mine.mute = scene.sequence_editor.channels[1].mute = True
    scene.use_audio = False
    resting.edtalk.voice_from, resting.edtalk.speech.strip = "STRIP", "mine"
    sound = addon("scene.speech.sound")
    voice = sound.voice_of(resting, scene, tmp_path)
    frames = [voice.time.frame(second) for second in heard_at(voice.path)]
    assert frames == pytest.approx([11 + 50], abs=0.02)
    state = (mine.mute, scene.sequence_editor.channels[1].mute, other.mute, scene.use_audio)
    assert state == (True, True, False, False), "all is as it was"
    assert sound.span(resting, scene) == (36, 136)
    assert sound.beginning(resting, scene).seconds(61) == pytest.approx(2.0)


def test_a_strip_in_a_meta_speaks(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, tmp_path: Path
) -> None:
    scene.render.fps, scene.frame_end = 25, 100
    mine = add(addon, scene, clicks(tmp_path / "mine.wav", 3.0, [0.4]), 11, 1)
    meta = addon("scene.speech.sequencer").strips(scene).new_meta(name="scene 1", channel=3, frame_start=1)
    mine.move_to_meta(meta)
    setattr(meta, "right_handle" if hasattr(meta, "right_handle") else "frame_final_end", 100)
    meta.mute = True
    resting.edtalk.voice_from, resting.edtalk.speech.strip = "STRIP", "mine"
    voice = addon("scene.speech.sound").voice_of(resting, scene, tmp_path)
    assert [voice.time.frame(s) for s in heard_at(voice.path)] == pytest.approx([21], abs=0.02)
    assert meta.mute


def test_a_loud_recording_on_two_channels_does_not_clip(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, tmp_path: Path
) -> None:
    tone = (25000 * np.sin(np.arange(8000) / 10)).astype("<i2")
    with wave.open(str(tmp_path / "loud.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.repeat(tone, 2).tobytes())
    add(addon, scene, tmp_path / "loud.wav", 1, 1)
    resting.edtalk.voice_from = "SCENE"
    voice = addon("scene.speech.sound").voice_of(resting, scene, tmp_path)
    with wave.open(str(voice.path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert 24_000 < np.abs(samples.astype(int)).max() < 28_000


def test_a_strip_that_is_gone_is_told_of(scene: bpy.types.Scene, resting: bpy.types.Object) -> None:
    resting.edtalk.voice_from = "STRIP"
    with pytest.raises(RuntimeError, match="No sound strip is chosen"):
        bpy.ops.edtalk.predict()
    resting.edtalk.speech.strip = "gone"
    with pytest.raises(RuntimeError, match="no sound strip gone"):
        bpy.ops.edtalk.predict()


def test_muted_strips_are_no_sound(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, voice: Path
) -> None:
    add(addon, scene, voice, 1, 1).mute = True
    resting.edtalk.voice_from = "SCENE"
    with pytest.raises(RuntimeError, match="plays no sound"):
        bpy.ops.edtalk.predict()


@pytest.mark.parametrize("offset", [2.0, -1.5])
def test_the_face_comes_after_the_sound_by_the_sync_offset(
    addon: Any, talking: bpy.types.Object, offset: float
) -> None:
    group = talking.edtalk
    group.voice_offset = offset
    bpy.ops.edtalk.predict()
    shifted = keys(addon, talking, "edtalk.mouth_01")
    group.voice_offset, group.voice_start = 0.0, 1.0 + offset
    bpy.ops.edtalk.predict()
    assert shifted == keys(addon, talking, "edtalk.mouth_01")


def test_the_sync_offset_of_the_scenes_sound(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, hearing: None, tmp_path: Path
) -> None:
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, 100
    add(addon, scene, clicks(tmp_path / "clicks.wav", 3.0, [0.4]), 1, 1)
    resting.edtalk.voice_from, resting.edtalk.voice_offset = "SCENE", 2.5
    voice = addon("scene.speech.sound").voice_of(resting, scene, tmp_path, range(30, 50))
    (second,) = heard_at(voice.path)
    assert voice.time.frame(second) == pytest.approx(11, abs=0.02)
    assert voice.lips.frame(second) == pytest.approx(13.5, abs=0.02)


# --- what is said ----------------------------------------------------------------------------------------------------


@pytest.fixture
def said(addon: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The lines of the transcripts that predictions were asked for with."""
    client, texts = addon("core.server.client").Client, []
    start = client.start

    def noted(self: Any, request: Any, *rest: Any) -> str:
        if type(request).__name__ == "Predict":
            texts.append([line.text for line in request.lines])
        return start(self, request, *rest)

    monkeypatch.setattr(client, "start", noted)
    return texts


@pytest.fixture
def feeling(addon: Any, talking: bpy.types.Object) -> bpy.types.Object:
    """A character whose bundle has expressions."""
    names = importlib.import_module("shared_protocol.emotions").EMOTIONS
    addon("scene.character").set_presets(talking, {name: {"jaw_open": 0.1} for name in names})
    return talking


def emotion(ob: bpy.types.Object, name: str, frame: int) -> float:
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    return getattr(ob.evaluated_get(graph).edtalk.emotion, name)


def test_predicting_sends_what_is_said_from_each_kind_of_transcript(
    addon: Any, scene: bpy.types.Scene, talking: bpy.types.Object, said: list[list[str]], tmp_path: Path
) -> None:
    group = talking.edtalk
    file = tmp_path / "proj ect ä" / "words.srt"
    file.write_bytes("\ufeff1\r\n00:00:00,100 --> 00:00:00,400\r\nHello [sad] <b>there</b>\r\n".encode())
    group.speech.transcript_from, group.transcript = "FILE", str(file)
    bpy.ops.edtalk.predict()
    group.speech.transcript_from, group.speech.text = "TEXT", bpy.data.texts.new("Words")
    group.speech.text.write("(happy 0.5) Good morning.")
    bpy.ops.edtalk.predict()
    group.speech.transcript_from = "STRIPS"
    add_text(addon, scene, "two", 6, 9)
    add_text(addon, scene, "one", 2, 5)
    add_text(addon, scene, "not shown", 2, 5).mute = True
    bpy.ops.edtalk.predict()
    group.speech.transcript_from = "NONE"
    bpy.ops.edtalk.predict()
    assert said == [["Hello [sad] there"], ["(happy 0.5) Good morning."], ["one", "two"], []]
    bpy.ops.wm.save_mainfile()
    assert group.transcript == "//words.srt", "the folder can be moved"


def test_a_transcript_with_a_mistake_is_told_with_its_line(talking: bpy.types.Object, tmp_path: Path) -> None:
    file = tmp_path / "words.srt"
    file.write_text("1\n00:00:00,1x0 --> 00:00:00,400\nHello")
    talking.edtalk.speech.transcript_from, talking.edtalk.transcript = "FILE", str(file)
    with pytest.raises(RuntimeError, match="Line 2 of the transcript is no time"):
        bpy.ops.edtalk.predict()
    file.write_text("1\n00:00:00,100 --> 00:00:00,400\nHello")
    bpy.ops.edtalk.predict()


def test_emotions_in_subtitles_come_at_their_times(scene: bpy.types.Scene, feeling: bpy.types.Object) -> None:
    scene.render.fps, feeling.edtalk.emotion.blend = 25, 0.2
    text = bpy.data.texts.new("Words")
    text.write(
        "WEBVTT\n\n00:01.000 --> 00:02.000\n[happy 0.7] Hi\n\n00:03.000 --> 00:04.000\n(none) Well [F_12].\n"
    )
    feeling.edtalk.speech.transcript_from, feeling.edtalk.speech.text = "TEXT", text
    feeling.edtalk.voice_start, feeling.edtalk.voice_offset = 11.0, 1.0
    bpy.ops.edtalk.emotions_from_transcript()
    happy = [emotion(feeling, "happy", frame) for frame in (37, 42, 87, 92)]
    assert happy == pytest.approx([0, 0.7, 0.7, 0], abs=1e-3)


def test_emotions_in_plain_text_are_spread_over_the_voice_and_said_to_be(
    scene: bpy.types.Scene, feeling: bpy.types.Object, capfd: pytest.CaptureFixture[str]
) -> None:
    scene.render.fps, feeling.edtalk.emotion.blend = 24, 0.0  # the voice lasts 12 frames from frame 1 on
    text = bpy.data.texts.new("Words")
    text.write("one two [sad] six ten")
    feeling.edtalk.speech.transcript_from, feeling.edtalk.speech.text = "TEXT", text
    bpy.ops.edtalk.emotions_from_transcript()
    assert [emotion(feeling, "sad", frame) for frame in (6, 7)] == pytest.approx([0, 1], abs=1e-3)
    assert "are estimated" in capfd.readouterr().out


def test_emotions_in_text_strips_come_where_these_lie(
    addon: Any, scene: bpy.types.Scene, feeling: bpy.types.Object
) -> None:
    scene.render.fps, feeling.edtalk.emotion.blend = 25, 0.0
    feeling.edtalk.speech.transcript_from = "STRIPS"
    add_text(addon, scene, "[fear] Oh", 20, 30)
    bpy.ops.edtalk.emotions_from_transcript()
    assert [emotion(feeling, "fear", frame) for frame in (19, 20)] == pytest.approx([0, 1], abs=1e-3)


# --- from videos -----------------------------------------------------------------------------------------------------


def test_a_video_moves_the_chosen_banks_and_leaves_the_others(
    addon: Any, scene: bpy.types.Scene, talking: bpy.types.Object, movie: Path
) -> None:
    scene.render.fps = 25
    mouth, pose = keys(addon, talking, "edtalk.mouth_01"), keys(addon, talking, "edtalk.pose_01")
    bpy.ops.edtalk.capture(filepath=str(movie), start=4.0, pose=False, expression=False)
    after = keys(addon, talking, "edtalk.mouth_01")
    assert {frame: after[frame] for frame in (1, 2, 3)} == {frame: mouth[frame] for frame in (1, 2, 3)}
    light = np.arange(9) * 25 / 255
    np.testing.assert_allclose([after[frame] for frame in range(4, 13)], light, atol=0.02)
    assert keys(addon, talking, "edtalk.pose_01") == pose
    assert len(talking.animation_data.nla_tracks) == 1


def test_the_strength_of_a_bank_says_how_far_it_follows(
    addon: Any, scene: bpy.types.Scene, talking: bpy.types.Object, movie: Path
) -> None:
    scene.render.fps = 25
    bpy.ops.edtalk.capture(filepath=str(movie), start=1.0, strength_mouth=0.5, zero="FRAME", zero_frame=2.0)
    captured = keys(addon, talking, "edtalk.mouth_01")
    light = np.arange(10) * 25 / 255
    np.testing.assert_allclose([captured[frame] for frame in range(1, 11)], light / 2, atol=0.02)


def test_a_video_that_ends_before_the_range_is_not_held(
    addon: Any, scene: bpy.types.Scene, resting: bpy.types.Object, movie: Path
) -> None:
    scene.render.fps, scene.frame_end = 50, 100
    bpy.ops.edtalk.capture(filepath=str(movie))
    assert list(keys(addon, resting, "edtalk.mouth_01")) == list(range(1, 21))
    assert len(addon("scene.keys.actions").curves(resting)) == 36
    assert not bpy.data.movieclips


def test_captures_that_cannot_be(resting: bpy.types.Object, movie: Path, portrait: Path) -> None:
    def refused(**options: Any) -> str:
        with pytest.raises(RuntimeError) as failure:
            bpy.ops.edtalk.capture(**options)
        return str(failure.value)

    assert "No video is chosen" in refused()
    assert "is not there" in refused(filepath=str(movie) + "x")
    assert "outside frames 1 to 12" in refused(filepath=str(movie), start=50.0)
    assert "at least one" in refused(filepath=str(movie), mouth=False, pose=False, expression=False)
    broken = movie.with_name("broken.mp4")
    broken.write_bytes(b"no movie at all")
    assert "cannot read the video" in refused(filepath=str(broken))
    assert resting.animation_data is None


def test_a_mix_that_was_not_written_is_told_of(
    addon: Any, hearing: None, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    add(addon, scene, clicks(tmp_path / "click.wav", 1.0, [0.5]), 1, 1)
    with pytest.raises(Exception, match="could not mix down the scene's sound"):
        addon("scene.speech.sequencer").mixdown(scene, range(25), tmp_path / "nowhere" / "voice.wav")
