# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: turn a 3D view to the character, so that its picture is seen."""

from __future__ import annotations

import bpy

from ...core.text.translate import iface_
from ...scene import character
from ..runtime.task_operator import refuse

PLAIN = "Standard"
"""The view transform that solid shading has."""


def remark(space: bpy.types.Space | None, scene: bpy.types.Scene) -> str:
    """Why a 3D view does not show the character as it is, in the user's language; empty where it does.

    A new Blender's solid shading has one colour a material, and no solid shading knows the scene's view transform.
    """
    if not isinstance(space, bpy.types.SpaceView3D) or space.shading.type in {"MATERIAL", "RENDERED"}:
        return ""
    if space.shading.type != "SOLID" or space.shading.color_type != "TEXTURE":
        return iface_("This view shows no pictures yet")
    transform = scene.view_settings.view_transform
    if transform == PLAIN:
        return ""
    return iface_("Solid shading shows wrong colours under {transform}", transform=transform)


def show_pictures(space: bpy.types.SpaceView3D, scene: bpy.types.Scene) -> None:
    """Let a view show pictures as they are, in the shading that costs least."""
    shading = space.shading
    if scene.view_settings.view_transform == PLAIN:
        shading.type, shading.light, shading.color_type = "SOLID", "FLAT", "TEXTURE"
    else:
        shading.type = "MATERIAL"


class LookAtCharacter(bpy.types.Operator):
    """Turn this view to the character's front, and let it show pictures if it does not"""

    bl_idname = "edtalk.look_at_character"
    bl_label = "Look at Character"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not character.is_character(context.object):
            return refuse(cls, "Select a character")
        in_view = context.area is not None and context.area.type == "VIEW_3D"
        return in_view or refuse(cls, "Press it in a 3D view")

    def execute(self, context: bpy.types.Context) -> set[str]:
        if remark(context.space_data, context.scene):
            show_pictures(context.space_data, context.scene)
        view = next(region for region in context.area.regions if region.type == "WINDOW")
        before = {ob: ob.select_get() for ob in {context.object, *context.selected_objects}}
        for ob in before:
            ob.select_set(ob == context.object)
        with context.temp_override(region=view):
            bpy.ops.view3d.view_axis(type="FRONT", align_active=True)
            bpy.ops.view3d.view_selected()
        for ob, was_selected in before.items():
            ob.select_set(was_selected)
        return {"FINISHED"}


CLASSES = (LookAtCharacter,)
