# SPDX-License-Identifier: GPL-3.0-or-later
"""The "EDTalk" tab of the 3D view's sidebar. Panels only draw."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import bpy

from ..core.wording import iface_
from ..scene import character

if TYPE_CHECKING:
    from bpy.types import Panel
else:
    Panel = object

LETTER, MARGIN = 7.5, 70
"""About how wide a letter, and all that is not text in a sidebar's box, is in pixels at scale 1."""


def draw_words(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """Text over as many lines as it needs, as it is: in the user's language already."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    scale = bpy.context.preferences.system.ui_scale
    letters = max(16, int((bpy.context.region.width / scale - MARGIN) / LETTER))
    for number, line in enumerate(textwrap.wrap(text, letters)):
        first = icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE"
        column.label(text=line, icon=first, translate=False)


class SidebarPanel(Panel):
    """What our panels have in common."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "EDTalk"


class CharacterPanel(SidebarPanel, bpy.types.Panel):
    """The selected character and its portrait."""

    bl_idname = "EDTALK_PT_character"
    bl_label = "Character"

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = self.layout, context.object
        if not character.is_character(ob):
            layout.label(text="Select a character, or make one", icon="INFO")
            return
        layout.use_property_split = True
        layout.use_property_decorate = False
        group = ob.edtalk
        layout.prop(ob, "name", text="Name")
        layout.prop(group, "portrait")
        for note in filter(None, group.notes.split("\n")):
            draw_words(layout, iface_(note), "INFO")


CLASSES = (CharacterPanel,)
