# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel of the selected character, above those of its rooms."""

from __future__ import annotations

import bpy

from ...core.text.translate import iface_
from ...scene import character
from ..sidebar import SidebarPanel, draw_words
from .view_character import view_hint


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
        if words := view_hint(context.space_data, context.scene):
            draw_words(layout, words, "INFO")
        for note in filter(None, group.notes.split("\n")):
            draw_words(layout, iface_(note), "INFO")


CLASSES = (CharacterPanel,)
