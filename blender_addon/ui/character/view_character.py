# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: turn a 3D view to the character's front, and let it show pictures."""

from __future__ import annotations

import bpy

from ...core.text.translate import iface_, rpt_
from ...scene import character
from ..runtime.polls import is_in_view, refuse

PLAIN = "Standard"
"""The view transform of solid shading."""


def view_hint(space: bpy.types.Space | None, scene: bpy.types.Scene) -> str:
    """Return why a 3D view does not show the character as it is, in the user's language; empty where it does.

    By default solid shading shows one colour per material, and it never applies the scene's view transform.
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
    """Let a view show pictures in their own colours, in the cheapest shading that does."""
    shading = space.shading
    if scene.view_settings.view_transform == PLAIN:
        shading.type, shading.light, shading.color_type = "SOLID", "FLAT", "TEXTURE"
    else:
        shading.type = "MATERIAL"


class LookAtCharacter(bpy.types.Operator):
    """Turn this view to the character's front, and switch it to a shading that shows pictures"""

    bl_idname = "edtalk.look_at_character"
    bl_label = "Look at Character"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not character.is_character(context.object):
            return refuse(cls, "Select a character")
        return is_in_view(context) or refuse(cls, "Do this in a 3D view")

    def execute(self, context: bpy.types.Context) -> set[str]:
        if view_hint(context.space_data, context.scene):
            show_pictures(context.space_data, context.scene)
        _turn_to(context, context.area)
        return {"FINISHED"}


def _turn_to(context: bpy.types.Context, area: bpy.types.Area) -> None:
    """Turn a 3D view to the front of the active object, alone in it. What is selected stays."""
    view = next(region for region in area.regions if region.type == "WINDOW")
    before = {ob: ob.select_get() for ob in {context.object, *context.selected_objects}}
    for ob in before:
        ob.select_set(ob == context.object)
    with context.temp_override(area=area, region=view):
        bpy.ops.view3d.view_axis(type="FRONT", align_active=True)
        bpy.ops.view3d.view_selected()
    for ob, was_selected in before.items():
        ob.select_set(was_selected)


def look_at_first(context: bpy.types.Context, ob: bpy.types.Object) -> str:
    """Turn the view to a file's first character, and let it show pictures where that compiles no shaders: solid, with
    textures. In a file that was never saved the view transform is set to the one that solid shading has. Return what
    was changed of the scene, in the user's language."""
    window = context.window or next(iter(context.window_manager.windows), None)
    views = [area for area in window.screen.areas if area.type == "VIEW_3D"] if window is not None else []
    if bpy.app.background or not views or sum(map(character.is_character, bpy.data.objects)) > 1:
        return ""
    area = max(views, key=lambda view: view.width * view.height)
    scene, said = context.scene, ""
    if not bpy.data.filepath and scene.view_settings.view_transform != PLAIN:
        scene.view_settings.view_transform = PLAIN
        said = rpt_("The view transform is {transform} now, which keeps a picture's colours", transform=PLAIN)
    if scene.view_settings.view_transform == PLAIN:
        show_pictures(area.spaces.active, scene)
    with context.temp_override(window=window):
        _turn_to(context, area)
    return said


CLASSES = (LookAtCharacter,)
