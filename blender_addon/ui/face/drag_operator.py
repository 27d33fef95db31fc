# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: drag a handle of the face, and key its weights."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty
from mathutils import Vector

from shared_protocol.errors import EDTalkError

from ...core.text.translate import iface_, n_, rpt_
from ...core.weights import face_handles
from ...core.weights.face_handles import BY_NAME, HANDLES, PRECISE, Handle
from ...scene import character, face_points
from ...scene.poses import posing
from ...scene.references import find_object
from ..runtime.polls import has_editable_character, refuse, report_error
from ..runtime.preferences import preferences
from ..runtime.task_operator import is_playing
from ..selection import edited_characters
from .handle_places import Camera, Picture, handle_at

HELP = n_("{handle}: {values}    Shift: precise    Ctrl: one side or both    Esc: cancel")
_items = [(handle.name, handle.label, "") for handle in HANDLES]


@dataclass(frozen=True)
class _Start:
    """A character that is dragged, by its `session_uid`, and its sliders at the start."""

    uid: int
    values: dict[str, float]


class DragFace(bpy.types.Operator):
    """Drag this part of the face"""

    bl_idname = "edtalk.drag_face"
    bl_label = "Drag Face"
    bl_options = {"UNDO", "INTERNAL"}

    handle: EnumProperty(name="Handle", items=_items, options={"SKIP_SAVE"})
    x: FloatProperty(
        name="X", description="Fractions of the crop to the right of the picture", options={"SKIP_SAVE"}
    )
    y: FloatProperty(name="Y", description="Fractions of the crop downwards", options={"SKIP_SAVE"})
    both_sides: BoolProperty(
        name="Both Sides", description="Move the other side of the face alike", default=True
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_editable_character(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        self._begin(context)
        self._set()
        return self._finish(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if context.region_data is None:
            return self.execute(context)
        picture = Picture.of(Camera(context.region, context.region_data, context.object))
        to_way = picture.to_way(BY_NAME[self.handle])
        if to_way is None:
            return {"CANCELLED"}
        self._to_way, self._mouse = to_way, Vector((event.mouse_x, event.mouse_y))
        self.both_sides = preferences().both_sides
        self._begin(context)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            self.x = self.y = 0.0
            self._set()
            return self._end(context, {"CANCELLED"})
        if event.type == "LEFTMOUSE" and event.value == "RELEASE":
            return self._end(context, self._finish(context))
        if event.type in {"MOUSEMOVE", "LEFT_CTRL", "RIGHT_CTRL"}:
            self._follow(event)
            self._set()
            self._say(context)
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called when Blender ends the operator: the window closes, or another file is loaded."""
        self._end(context, set())

    def _follow(self, event: bpy.types.Event) -> None:
        """Add the mouse's way since the last event, and note whether both sides move."""
        now = Vector((event.mouse_x, event.mouse_y))
        way = self._to_way @ (now - self._mouse) * (PRECISE if event.shift else 1.0)
        self._mouse = now
        self.x, self.y = self.x + way.x, self.y + way.y
        self.both_sides = preferences().both_sides != event.ctrl

    # --- the weights -------------------------------------------------------------------------------------------------

    def _begin(self, context: bpy.types.Context) -> None:
        edited = edited_characters(context)
        self._starts = [_Start(ob.session_uid, face_points.slider_values(ob)) for ob in edited]
        self._touched: dict[int, set[str]] = {}

    def _set(self) -> None:
        """Set the weights of all characters to what the way makes of those at the start."""
        for start in self._starts:
            ob = find_object(start.uid)
            if ob is not None:
                dragged = face_handles.drag(
                    self._handle, character.layout_of(ob), start.values, (self.x, self.y), self.both_sides
                )
                before = {name: start.values[name] for name in self._touched.get(start.uid, ())}
                posing.set_weights(ob, {**before, **dragged})
                moved = {name for name, value in dragged.items() if value != start.values[name]}
                self._touched.setdefault(start.uid, set()).update(moved)

    def _finish(self, context: bpy.types.Context) -> set[str]:
        """Key what moved, with auto-keying on. A click alone is no step to undo."""
        if not any(self._touched.values()):
            return {"CANCELLED"}
        try:
            for start in self._starts if context.scene.tool_settings.use_keyframe_insert_auto else ():
                ob = find_object(start.uid)
                if ob is not None:
                    _key(ob, context.scene, self._touched.get(start.uid, set()))
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
        return {"FINISHED"}

    @property
    def _handle(self) -> Handle:
        return BY_NAME[self.handle]

    # --- the window --------------------------------------------------------------------------------------------------

    def _say(self, context: bpy.types.Context) -> None:
        ob = context.object
        words = describe(ob, self._handle) if character.is_character(ob) else ""
        context.workspace.status_text_set(iface_(HELP, handle=iface_(self._handle.label), values=words))

    def _end(self, context: bpy.types.Context, answer: set[str]) -> set[str]:
        if context.workspace is not None:  # it goes with a file
            context.workspace.status_text_set(None)
        return answer


class KeyHandle(bpy.types.Operator):
    """Key the weights of the handle under the mouse at the current frame"""

    bl_idname = "edtalk.key_handle"
    bl_label = "Key Handle"
    bl_options = {"UNDO", "INTERNAL"}

    handle: EnumProperty(name="Handle", items=_items, options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not preferences().face_controls:
            return refuse(cls, "On-Face Controls are off")
        return has_editable_character(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if context.region_data is None or context.region.type != "WINDOW" or not shows_handles(context):
            return {"PASS_THROUGH"}
        camera = Camera(context.region, context.region_data, context.object)
        name = handle_at(camera, (event.mouse_region_x, event.mouse_region_y))
        if not name:
            return {"PASS_THROUGH"}  # then the key is Blender's
        self.handle = name
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        count, names = 0, BY_NAME[self.handle].weights
        try:
            for ob in edited_characters(context):
                count += _key(ob, context.scene, names)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        self.report({"INFO"}, rpt_("{count} weights keyed", count=count))
        return {"FINISHED"}


def shows_handles(context: bpy.types.Context) -> bool:
    """Return whether the 3D view shows handles on the active character."""
    ob = context.object
    if not preferences().face_controls or not character.is_character(ob) or context.mode != "OBJECT":
        return False
    is_shown = ob.is_editable and ob.visible_get(view_layer=context.view_layer)
    has_gizmos = getattr(context.space_data, "show_gizmo", True)
    return bool(is_shown and has_gizmos and ob.edtalk.show == "LIVE" and not is_playing(context))


def _key(ob: bpy.types.Object, scene: bpy.types.Scene, names: Collection[str]) -> int:
    channels = posing.channels_by_identifier(ob)
    wanted = [channel for name, channel in channels.items() if name in names]
    return posing.insert_keys(ob, scene, map(character.data_path, wanted))


def describe(ob: bpy.types.Object, handle: Handle) -> str:
    """Return the handle's weights that are not zero, "Jaw Open 0.42, Jaw Left -0.1", in the user's language."""
    values = face_points.slider_values(ob)
    parts = [
        f"{iface_(basis.name)} {values[basis.identifier]:.2f}"
        for basis in character.layout_of(ob).bases
        if basis.identifier in handle.weights and abs(values[basis.identifier]) >= 0.005
    ]
    return ", ".join(parts) or "0"


CLASSES = (DragFace, KeyHandle)
