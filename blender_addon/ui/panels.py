# SPDX-License-Identifier: GPL-3.0-or-later
"""The "EDTalk" tab of the 3D view's sidebar. Panels only draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy

from ..core.text.text_wrap import wrap_text
from ..core.text.translate import iface_
from ..scene import character
from .character.view_character import remark

if TYPE_CHECKING:
    from bpy.types import Panel
else:
    Panel = object

LETTERS, MARGIN, ICON, EDGES = 11, 62, 20, 14
"""Pixels at scale 1: the size of Blender's letters, all that is not text in a sidebar's box, an icon's width, and what
else a button has beside its words."""


def draw_words(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """Text over as many lines as it needs, as it is: in the user's language already."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    room = _room() - (0 if icon == "NONE" else ICON + ICON // 2)
    for number, line in enumerate(wrap_text(text, room, width_of)):
        first = icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE"
        column.label(text=line, icon=first, translate=False)


def side_by_side(layout: bpy.types.UILayout, *words: str) -> bpy.types.UILayout:
    """Where buttons with an icon and these words (untranslated) go: a row, or a column where they would be cut."""
    if bpy.context.region is not None:
        said = (bpy.app.translations.pgettext_iface(one, "Operator") for one in words)
        if len(words) * (max(map(width_of, said)) + ICON + EDGES) > _room():
            return layout.column(align=True)
    return layout.row(align=True)


def width_of(text: str) -> float:
    """Of a line in Blender's letters, in pixels at scale 1."""
    import blf

    scale = bpy.context.preferences.system.ui_scale
    blf.size(0, LETTERS * scale)
    return float(blf.dimensions(0, text)[0]) / scale


def _room() -> float:
    """For words in the region that is being drawn, in pixels at scale 1."""
    return float(bpy.context.region.width / bpy.context.preferences.system.ui_scale - MARGIN)


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
        layout.operator("edtalk.look_at_character", icon="HIDE_OFF")
        if words := remark(context.space_data, context.scene):
            draw_words(layout, words, "INFO")
        for note in filter(None, group.notes.split("\n")):
            draw_words(layout, iface_(note), "INFO")


CLASSES = (CharacterPanel,)
