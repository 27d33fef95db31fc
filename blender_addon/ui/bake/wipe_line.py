# SPDX-License-Identifier: GPL-3.0-or-later
"""The line between two versions, dragged with the mouse by a dot on it."""

from __future__ import annotations

import math

import bpy
from mathutils import Vector

from .wipe import DOT_HEIGHT, WIPE, compared, place_of

REACH = 11.0
"""Pixels at scale 1 from the dot's middle within which a press grabs it."""


def _scale() -> float:
    return float(bpy.context.preferences.system.ui_scale)


class DragLine(bpy.types.Operator):
    """Drag the line between the two versions"""

    bl_idname = "edtalk.drag_wipe"
    bl_label = "Drag Line"
    bl_options = {"INTERNAL"}

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        ob = compared(context)
        ends = [place_of(ob, across, 0.5) for across in (0.0, 1.0)] if ob is not None else [None]
        if None in ends:
            return {"CANCELLED"}
        self._ends = [Vector(end) for end in ends if end is not None]
        self._before = context.window_manager.edtalk_wipe.line
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        wipe = context.window_manager.edtalk_wipe
        if event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            wipe.line = self._before
            return {"CANCELLED"}
        if event.type == "LEFTMOUSE" and event.value == "RELEASE":
            return {"FINISHED"}
        if event.type == "MOUSEMOVE":
            wipe.line = self._across(Vector((event.mouse_region_x, event.mouse_region_y)))
        return {"RUNNING_MODAL"}

    def _across(self, mouse: Vector) -> float:
        """Return how far across the picture the mouse is, 0 to 1."""
        start, end = self._ends
        way = end - start
        return min(max((mouse - start).dot(way) / max(way.length_squared, 1.0), 0.0), 1.0)


class LineDot(bpy.types.Gizmo):
    """The dot in the middle of the line."""

    bl_idname = "EDTALK_GT_wipe_dot"

    __slots__ = ("place",)

    def setup(self) -> None:
        """Called by Blender for a new gizmo."""
        self.place = None

    def draw(self, _context: bpy.types.Context) -> None:
        """Tell whether it is lit. It is drawn with the line, because the take's picture would cover half of it."""
        WIPE.is_dot_lit = self.is_highlight or self.is_modal

    def test_select(self, _context: bpy.types.Context, location: tuple[float, float]) -> int:
        """Return 0 where the mouse, in pixels of the region, grabs it, else -1."""
        is_near = self.place is not None and math.dist(self.place, location) <= REACH * _scale()
        return 0 if is_near else -1


class LineControls(bpy.types.GizmoGroup):
    """What there is to drag on the line."""

    bl_idname = "EDTALK_GGT_wipe"
    bl_label = "EDTalk Compare"
    bl_space_type = "VIEW_3D"
    bl_region_type = "WINDOW"
    bl_options = {"PERSISTENT", "SHOW_MODAL_ALL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return WIPE.image is not None and compared(context) is not None

    def setup(self, _context: bpy.types.Context) -> None:
        """Make the dot."""
        dot = self.gizmos.new(LineDot.bl_idname)
        dot.use_draw_modal = True
        dot.target_set_operator(DragLine.bl_idname)

    def draw_prepare(self, context: bpy.types.Context) -> None:
        """Put the dot where the line is."""
        ob, line = compared(context), context.window_manager.edtalk_wipe.line
        for dot in self.gizmos:
            dot.place = place_of(ob, line, DOT_HEIGHT) if ob is not None else None


CLASSES = (DragLine, LineDot, LineControls)
