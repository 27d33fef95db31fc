# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles over the active character's face in the 3D view: drawing, and finding the one under the mouse.

Each is a gizmo, so Blender's *Gizmos* switch hides them, and a press elsewhere means what it always does. Places are
computed once for each drawing of a view; nothing is written.
"""

from __future__ import annotations

import math

import bpy

from ...core.text.translate import iface_
from ...core.weights.face_handles import BY_NAME, HANDLES, Place
from ...scene import character
from ..character import overlay
from ..runtime.dots import draw_dot
from .drag_operator import DragFace, KeyHandle, describe, shows_handles
from .handle_places import REACH, Camera, Picture

KEYMAP, KEY = "Object Mode", "I"
_items: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


class FaceHandle(bpy.types.Gizmo):
    """A point of the face to drag."""

    bl_idname = "EDTALK_GT_face_handle"

    __slots__ = ("name", "place", "radius", "reach")

    def setup(self) -> None:
        """Called by Blender for a new gizmo."""
        self.name, self.place, self.radius, self.reach = "", None, 0.0, 0.0

    def draw(self, context: bpy.types.Context) -> None:
        """Draw a dot; under the mouse with what it moves."""
        if self.place is None:
            return
        draw_dot(self.place, self.radius, self.is_highlight or self.is_modal)
        if self.is_highlight and not self.is_modal and character.is_character(context.object):
            handle = BY_NAME[self.name]
            words = f"{iface_(handle.label)}: {describe(context.object, handle)}"
            overlay.write([words], *self.place)

    def test_select(self, _context: bpy.types.Context, location: Place) -> int:
        """Return 0 where the mouse, in pixels of the region, grabs it, else -1."""
        if self.place is None:
            return -1
        return 0 if math.dist(self.place, location) <= max(self.reach, self.radius) else -1


class FaceControls(bpy.types.GizmoGroup):
    """The handles of the active character."""

    bl_idname = "EDTALK_GGT_face_controls"
    bl_label = "EDTalk Face Controls"
    bl_space_type = "VIEW_3D"
    bl_region_type = "WINDOW"
    bl_options = {"PERSISTENT", "SHOW_MODAL_ALL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return shows_handles(context)

    def setup(self, _context: bpy.types.Context) -> None:
        """Make a gizmo for each handle that there may be."""
        for handle in HANDLES:
            gizmo = self.gizmos.new(FaceHandle.bl_idname)
            gizmo.name, gizmo.use_draw_modal = handle.name, True
            gizmo.target_set_operator(DragFace.bl_idname).handle = handle.name

    def draw_prepare(self, context: bpy.types.Context) -> None:
        """Put the handles where the face is now."""
        if not character.is_character(context.object) or context.region_data is None:
            return
        picture = Picture.of(Camera(context.region, context.region_data, context.object))
        places, radius = picture.places(), picture.radius()
        reach = _reach(list(places.values()))
        for gizmo in self.gizmos:
            gizmo.place, gizmo.radius, gizmo.reach = places.get(gizmo.name), radius, reach
            gizmo.hide = gizmo.place is None


def _reach(places: list[Place]) -> float:
    """Return the distance at which a press grabs a handle: less where two lie close together."""
    distances = [math.dist(a, b) for number, a in enumerate(places) for b in places[:number]]
    return min([REACH * bpy.context.preferences.system.ui_scale, *(distance / 2 for distance in distances)])


CLASSES = (FaceHandle, FaceControls)


def register() -> None:
    """Let I over a handle key its weights."""
    keys = bpy.context.window_manager.keyconfigs.addon
    if keys is not None:  # in background there are no key configurations
        keymap = keys.keymaps.new(name=KEYMAP, space_type="EMPTY")
        _items.append((keymap, keymap.keymap_items.new(KeyHandle.bl_idname, KEY, "PRESS")))


def unregister() -> None:
    """Take the key back."""
    for keymap, item in _items:
        keymap.keymap_items.remove(item)
    _items.clear()
