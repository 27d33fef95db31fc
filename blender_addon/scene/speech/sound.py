# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice: a file, one strip of the sequencer, or all that the scene plays."""

from __future__ import annotations

import math
import wave
from dataclasses import dataclass
from pathlib import Path

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase

from .. import paths
from . import sequencer

LEAD_S = 1.0
"""Seconds that are mixed before and after the frames: what is said there shapes how these begin and end."""


@dataclass(frozen=True)
class Voice:
    """A sound file, which second of it is heard at which frame (`time`), and which one the mouth of a frame speaks
    (`lips`): these differ by the character's sync offset."""

    path: Path
    time: TimeBase
    lips: TimeBase


def voice_of(
    ob: bpy.types.Object,
    scene: bpy.types.Scene,
    folder: Path,
    frames: range | None = None,
    *,
    for_people: bool = False,
) -> Voice:
    """The voice that the character is set to. What is not a file yet is mixed into one in `folder`, for the networks or
    `for_people`, for `frames` (default: the scene's) only as much as these need.

    Raises `EDTalkError` (audio_unreadable, audio_empty) when there is none.
    """
    group = ob.edtalk
    if group.voice_from == "FILE":
        path = paths.existing_file(paths.file_of(ob, "voice"), "voice", ErrorCode.AUDIO_UNREADABLE)
        return _voice(path, ob, scene, 0, group.voice_start)
    strip = _strip_of(ob, scene) if group.voice_from == "STRIP" else None
    if strip is None and not has_sound(scene):
        raise EDTalkError(
            ErrorCode.AUDIO_EMPTY,
            f"The scene {scene.name} plays no sound.",
            "Add a sound strip in the Video Sequencer, or choose a voice file.",
        )
    mixed = _frames_to_mix(
        ob, scene, frames or range(scene.frame_start, scene.frame_end + 1), strip is not None
    )
    path = folder / "voice.wav"
    sequencer.mixdown(scene, mixed, path, strip, for_people=for_people)
    return _voice(path, ob, scene, mixed[0])


def _voice(path: Path, ob: bpy.types.Object, scene: bpy.types.Scene, start: int, shift: float = 0.0) -> Voice:
    return Voice(path, _time(scene, start, shift), _time(scene, start, shift + ob.edtalk.voice_offset))


def _time(scene: bpy.types.Scene, start: int, shift: float) -> TimeBase:
    return TimeBase.from_blender(scene.render.fps, scene.render.fps_base, start, shift)


def _frames_to_mix(ob: bpy.types.Object, scene: bpy.types.Scene, frames: range, is_strip: bool) -> range:
    """Return the frames to mix: of a scene only those in its range, as in playback."""
    lead = math.ceil(LEAD_S * _time(scene, 0, 0.0).fps)
    offset = ob.edtalk.voice_offset
    first, last = math.floor(frames[0] - offset) - lead, math.ceil(frames[-1] - offset) + lead
    if not is_strip:
        first = max(first, min(scene.frame_start, frames[0]))
        last = min(last, max(scene.frame_end, frames[-1]))
    first = max(first, 0)  # no scene begins before frame 0
    return range(first, max(last, first) + 1)


def _strip_of(ob: bpy.types.Object, scene: bpy.types.Scene) -> bpy.types.Strip:
    """Return the sound strip that is the voice. Raises `EDTalkError` when it is missing."""
    name = ob.edtalk.speech.strip
    strip = next((candidate for candidate in sequencer.sounds(scene) if candidate.name == name), None)
    if strip is None:
        raise EDTalkError(
            ErrorCode.AUDIO_EMPTY,
            f"There is no sound strip {name} in the scene {scene.name}."
            if name
            else "No sound strip is chosen.",
            "Choose a sound strip of the Video Sequencer.",
        )
    return strip


def has_sound(scene: bpy.types.Scene) -> bool:
    """Return whether the scene's sequencer plays any sound."""
    return bool(sequencer.sounding(scene))


# --- where it is -----------------------------------------------------------------------------------------------------


def beginning(ob: bpy.types.Object, scene: bpy.types.Scene) -> TimeBase:
    """Seconds since the voice's beginning (a file's or strip's first second, the scene's first frame) to frames of the
    face. Raises `EDTalkError` when the strip is gone."""
    group = ob.edtalk
    match group.voice_from:
        case "FILE":
            start = group.voice_start
        case "STRIP":
            start = sequencer.content_start(_strip_of(ob, scene))
        case _:
            start = scene.frame_start
    return _time(scene, 0, start + group.voice_offset)


def span(ob: bpy.types.Object, scene: bpy.types.Scene) -> tuple[float, float]:
    """The frames of the face at which the voice begins and ends: as far as can be known, else the scene's.

    Raises `EDTalkError` when the strip is gone.
    """
    group, whole = ob.edtalk, (scene.frame_start, scene.frame_end + 1)
    match group.voice_from:
        case "FILE":
            path = paths.file_of(ob, "voice")
            seconds = _duration(path) if path is not None and path.is_file() else None
            first, last = group.voice_start, float(whole[1])
            if seconds is not None:
                last = _time(scene, 0, first).frame(seconds)
        case "STRIP":
            first, last = sequencer.span(_strip_of(ob, scene))
        case _:
            spans = [sequencer.span(strip) for strip in sequencer.sounding(scene)] or [whole]
            first = max(min(start for start, _ in spans), whole[0])
            last = min(max(end for _, end in spans), whole[1])
    return first + group.voice_offset, max(first, last) + group.voice_offset


def _duration(path: Path) -> float | None:
    """Return a sound file's length in seconds; None when this Blender cannot tell."""
    try:
        import aud
    except ImportError:  # the 4.2 Python module has no sound
        return _wave_duration(path)
    try:
        sound = aud.Sound(str(path))
        return sound.length / sound.specs[0] if sound.length > 0 else None
    except aud.error:
        return None


def _wave_duration(path: Path) -> float | None:
    try:
        with wave.open(str(path), "rb") as file:
            return file.getnframes() / file.getframerate()
    except (wave.Error, EOFError, OSError):
        return None
