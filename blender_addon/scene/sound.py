# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice: a file, or all that the scene plays."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase

from . import character


@dataclass(frozen=True)
class Voice:
    """A sound file's bytes, and which second of it belongs to which frame."""

    data: bytes
    time: TimeBase


def voice_of(ob: bpy.types.Object, scene: bpy.types.Scene) -> Voice:
    """The voice that the character is set to.

    Raises `EDTalkError` (audio_unreadable, audio_empty) when there is none.
    """
    render = scene.render
    if ob.edtalk.voice_from == "SCENE":
        return Voice(mixdown(scene), TimeBase.from_blender(render.fps, render.fps_base, scene.frame_start))
    data = character.read_file(character.file_of(ob, "voice"), "voice", ErrorCode.AUDIO_UNREADABLE)
    return Voice(data, TimeBase.from_blender(render.fps, render.fps_base, 0, ob.edtalk.voice_start))


def strips(scene: bpy.types.Scene) -> bpy.types.bpy_prop_collection:
    """The sequencer's strips (`sequences` before 4.4); the scene must have a sequencer."""
    editor = scene.sequence_editor
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def has_sound(scene: bpy.types.Scene) -> bool:
    """Does the scene's sequencer hold any sound?"""
    if scene.sequence_editor is None:
        return False
    return any(strip.type in {"SOUND", "SCENE", "META", "MOVIE"} for strip in strips(scene))


def mixdown(scene: bpy.types.Scene) -> bytes:
    """The scene's sound over its frame range as a WAV file's bytes; its first sample is at `scene.frame_start`.

    Raises `EDTalkError` when there is no sound, or this Blender has none built in.
    """
    if not has_sound(scene):
        raise EDTalkError(
            ErrorCode.AUDIO_EMPTY,
            f"The scene {scene.name} plays no sound.",
            "Add a sound strip in the Video Sequencer, or choose a voice file.",
        )
    with tempfile.TemporaryDirectory(prefix="edtalk-") as folder:
        path = Path(folder) / "mixdown.wav"
        try:
            with bpy.context.temp_override(scene=scene):
                bpy.ops.sound.mixdown(
                    filepath=str(path), check_existing=False, container="WAV", codec="PCM", format="S16"
                )
            return path.read_bytes()
        except (RuntimeError, AttributeError, OSError) as error:
            raise EDTalkError(
                ErrorCode.AUDIO_UNREADABLE,
                f"Blender could not mix down the scene's sound ({str(error).strip()}).",
                "Choose a voice file instead; a Blender without sound (the 4.2 Python module) cannot mix.",
            ) from error


def add_to_sequencer(scene: bpy.types.Scene, path: Path, frame: int) -> None:
    """Put a voice into the sequencer, on the first free channel, so that it is heard while playing."""
    if scene.sequence_editor is None:
        scene.sequence_editor_create()
    found = strips(scene)
    channel = max((strip.channel for strip in found), default=0) + 1
    found.new_sound(name=path.stem, filepath=character.kept_path(path), channel=channel, frame_start=frame)
