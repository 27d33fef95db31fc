# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: turn a 3D view to the character, so that its picture is seen."""

from __future__ import annotations

import bpy

from ..scene import character
from .operators import refuse


def shows_pictures(space: bpy.types.Space | None) -> bool:
    """Does a 3D view show what is on a plane? A new Blender's does not: its solid shading has one colour a material."""
    if not isinstance(space, bpy.types.SpaceView3D):
        return True
    shading = space.shading
    return shading.type in {"MATERIAL", "RENDERED"} or (
        shading.type == "SOLID" and shading.color_type == "TEXTURE"
    )


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
        if not shows_pictures(context.space_data):
            shading = context.space_data.shading
            shading.type, shading.light, shading.color_type = "SOLID", "FLAT", "TEXTURE"
        view = next(region for region in context.area.regions if region.type == "WINDOW")
        context.object.select_set(True)
        with context.temp_override(region=view):
            bpy.ops.view3d.view_axis(type="FRONT", align_active=True)
            bpy.ops.view3d.view_selected()
        return {"FINISHED"}


CLASSES = (LookAtCharacter,)
