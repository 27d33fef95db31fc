# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene's sequencer: what is in it, and what it sounds like.

Its names differ between Blenders: `sequences` became `strips` in 4.4, `frame_final_start` `left_handle` in 5.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode

from .. import paths

SOUNDING = {"SOUND", "SCENE"}
"""The types of strips that sound by themselves. (A movie's sound is a strip of its own.)"""

HEARD_RATE, FILM_RATE, LOWEST_RATE = 16_000, 48_000, 8_000
"""Of a mixdown, in Hz: what the networks hear, what a film's sound has, and Blender's least."""


def strips(scene: bpy.types.Scene) -> bpy.types.bpy_prop_collection:
    """The sequencer's strips, metas not opened; the scene must have a sequencer."""
    editor = scene.sequence_editor
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def all_strips(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """Return all strips, also those in metas; none without a sequencer."""
    editor = scene.sequence_editor
    if editor is None:
        return []
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def span(strip: bpy.types.Strip) -> tuple[int, int]:
    """Return the first frame of a strip and the one after its last, by its handles."""
    if hasattr(strip, "left_handle"):
        return strip.left_handle, strip.right_handle
    return strip.frame_final_start, strip.frame_final_end


def content_start(strip: bpy.types.Strip) -> float:
    """Return the frame at which a strip's file begins, or would begin untrimmed."""
    return float(strip.content_start if hasattr(strip, "content_start") else strip.frame_start)


def is_muted(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bool:
    """Return whether a strip, its channel or a meta around it is muted."""
    return any(item.mute for item in _switches(scene, strip))


def _switches(scene: bpy.types.Scene, strip: bpy.types.Strip) -> Iterator[Any]:
    """Yield all that must not be muted for a strip to play."""
    item: Any = strip
    while item is not None:
        meta = item.parent_meta()
        yield item
        yield (meta if meta is not None else scene.sequence_editor).channels[item.channel]
        item = meta


def sounding(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """Return the strips that are audible."""
    return [s for s in all_strips(scene) if s.type in SOUNDING and not is_muted(scene, s)]


def sounds(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """Return all sound strips, audible or not."""
    return [strip for strip in all_strips(scene) if strip.type == "SOUND"]


def spoken_texts(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """Return the visible text strips, in the order in which they begin."""
    texts = [s for s in all_strips(scene) if s.type == "TEXT" and not is_muted(scene, s)]
    return sorted(texts, key=lambda strip: span(strip)[0])


def beginning(ob: bpy.types.Object, scene: bpy.types.Scene) -> float:
    """Return the frame at which a character's voice begins, which stays where it is when the frame rate changes."""
    group = ob.edtalk
    if group.voice_from == "FILE":
        return float(group.voice_start)
    chosen = [strip for strip in sounds(scene) if strip.name == group.speech.strip]
    strips = chosen if group.voice_from == "STRIP" else sounding(scene)
    return min((content_start(strip) for strip in strips), default=float(scene.frame_start))


# --- mixing ----------------------------------------------------------------------------------------------------------


def mixdown(
    scene: bpy.types.Scene,
    frames: range,
    path: Path,
    strip: bpy.types.Strip | None = None,
    *,
    for_people: bool = False,
) -> None:
    """What the scene plays over `frames` (from 0 on), or what one strip alone does, muted or not, into a WAV file; the
    first sample is at the first frame. It is as fine as the networks need, or, `for_people`, as the sounds are.
    Blender freezes while it mixes.

    Raises `EDTalkError` when this Blender has no sound built in, or cannot mix it.
    """
    if not scene.is_editable:
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE,
            f"The scene {scene.name} is linked from another file, and cannot be mixed down here.",
            "Choose a voice file instead.",
        )
    try:
        with _set_up(scene, frames, strip), bpy.context.temp_override(scene=scene):
            bpy.ops.sound.mixdown(  # in stereo: Blender's mixes to one channel add up, and clip
                filepath=str(path),
                check_existing=False,
                container="WAV",
                codec="PCM",
                format="S16",
                mixrate=_rate([item for item in sounding(scene) if _is_in(item, frames)], for_people),
            )
        if not path.is_file() or path.stat().st_size == 0:
            raise OSError(
                "it wrote no file"
            )  # some builds do not, with an FFmpeg newer than they know, and finish
    except (RuntimeError, AttributeError, OSError) as error:
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE,
            f"Blender could not mix down the scene's sound ({str(error).strip()}).",
            "Choose a voice file instead; Blenders without sound (the 4.2 Python module), and some of Linux "
            "distributions, cannot mix.",
        ) from error


def _is_in(strip: bpy.types.Strip, frames: range) -> bool:
    first, end = span(strip)
    return first <= frames[-1] and frames[0] < end


def _rate(mixed: list[bpy.types.Strip], for_people: bool) -> int:
    """The rate to mix at, in Hz.

    Where Blender (4.3 to 5.2) raises a sound's rate, as of a speech recording of 8, 11, 12 or 16 kHz to a film's 48, it
    ends its strip on samples that it never wrote: a click as loud as can be, another one each time. So none is raised
    for the networks. People get the finest sound as it is, and beside it what Blender plays and renders itself; sounds
    that are not files of their own count as fine.
    """
    rates = [strip.sound.samplerate for strip in mixed if strip.type == "SOUND" and strip.sound is not None]
    if not for_people:
        return max(min([HEARD_RATE, *rates]), LOWEST_RATE)
    if not rates or any(strip.type != "SOUND" for strip in mixed):
        return FILM_RATE
    return max(min(FILM_RATE, max(rates)), LOWEST_RATE)


@contextmanager
def _set_up(scene: bpy.types.Scene, frames: range, strip: bpy.types.Strip | None) -> Iterator[None]:
    """Set the scene up for mixing, and restore it afterwards."""
    before: list[tuple[Any, str, Any]] = []

    def put(item: Any, name: str, value: Any) -> None:
        if getattr(item, name) != value:
            before.append((item, name, getattr(item, name)))
            setattr(item, name, value)

    first, last = scene.frame_start, scene.frame_end
    try:
        put(scene, "use_audio", True)  # muted playback would be mixed as silence
        if strip is not None:
            switches = list(_switches(scene, strip))
            for item in switches:
                put(item, "mute", False)
            for other in all_strips(scene):
                if other.type in SOUNDING and other not in switches:
                    put(other, "mute", True)
        scene.frame_start, scene.frame_end = frames[0], frames[-1]
        yield
    finally:
        scene.frame_start, scene.frame_end = first, last
        for item, name, value in reversed(before):
            setattr(item, name, value)


def add_sound(scene: bpy.types.Scene, path: Path, frame: int) -> bpy.types.Strip:
    """Put a sound file into the sequencer, on the first free channel, so that it is heard while playing; its strip."""
    if scene.sequence_editor is None:
        scene.sequence_editor_create()
    existing = strips(scene)
    channel = max((strip.channel for strip in existing), default=0) + 1
    return existing.new_sound(
        name=path.stem, filepath=paths.to_stored_path(path), channel=channel, frame_start=frame
    )
