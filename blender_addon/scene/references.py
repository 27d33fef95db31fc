# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's data over pauses: an undo leaves no Python reference alive, the session's numbers stay."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode


class GoneError(EDTalkError):
    """A character or a scene that a task works on was removed."""


@dataclass(frozen=True)
class CharacterRef:
    """A character in a scene, by the `session_uid` of both."""

    uid: int
    scene_uid: int

    @classmethod
    def of(cls, ob: bpy.types.Object, scene: bpy.types.Scene) -> CharacterRef:
        """Return a reference to a character in a scene."""
        return cls(ob.session_uid, scene.session_uid)

    def get_character(self) -> bpy.types.Object:
        """Return the character. Raises `GoneError` when it was removed."""
        return get_character(self.uid)

    def get_scene(self) -> bpy.types.Scene:
        """Return the scene, whatever its name is now. Raises `GoneError` when it was removed."""
        return get_scene(self.scene_uid)


def find_object(uid: int) -> bpy.types.Object | None:
    """Return the object with this `session_uid`, or None."""
    return next((ob for ob in bpy.data.objects if ob.session_uid == uid), None)


def get_character(uid: int) -> bpy.types.Object:
    """Return the object with this `session_uid`. Raises `GoneError` when it was removed."""
    ob = find_object(uid)
    if ob is None:
        raise GoneError(
            ErrorCode.UNKNOWN_SOURCE, "The character was removed.", "Select another one and start again."
        )
    return ob


def get_scene(uid: int) -> bpy.types.Scene:
    """Return the scene with this `session_uid`. Raises `GoneError` when it was removed."""
    scene = next((scene for scene in bpy.data.scenes if scene.session_uid == uid), None)
    if scene is None:
        raise GoneError(ErrorCode.EMPTY_RANGE, "The scene was removed.", "Start again in another scene.")
    return scene
