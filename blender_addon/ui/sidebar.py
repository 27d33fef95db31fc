# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels in the "EDTalk" tab of the 3D view's sidebar share. Panels only draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import bpy

from ..core.text.text_wrap import wrap_text
from ..scene import character

if TYPE_CHECKING:
    from bpy.types import Panel
else:
    Panel = object

LETTERS, MARGIN, ICON, EDGES = 11, 62, 20, 14
"""Pixels at scale 1: the size of Blender's letters, the part of a sidebar's box that is not text, an icon's width, and
the part of a button beside its words."""

PICTURE, MOST_COLUMNS = 2.9, 4
"""Scale of small pictures of faces, about which their side is in widths of an icon; and columns of them at most."""


def draw_words(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """Draw a text, in the user's language already, over as many lines as it needs."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    room = _room() - (0 if icon == "NONE" else ICON + ICON // 2)
    for number, line in enumerate(wrap_text(text, room, width_of)):
        first = icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE"
        column.label(text=line, icon=first, translate=False)


def side_by_side(layout: bpy.types.UILayout, *words: str) -> bpy.types.UILayout:
    """Return a row for buttons with an icon and these words (untranslated), or a column where they would be cut."""
    if bpy.context.region is not None:
        labels = (bpy.app.translations.pgettext_iface(word, "Operator") for word in words)
        if len(words) * (max(map(width_of, labels)) + ICON + EDGES) > _room():
            return layout.column(align=True)
    return layout.row(align=True)


def picture_grid(layout: bpy.types.UILayout, labels: Sequence[str]) -> bpy.types.UILayout:
    """Return a grid for pictures with these words (translated) below them, in as many columns as have room for them."""
    widest = max(map(width_of, labels), default=0.0) + EDGES
    columns = int(max(1, min(MOST_COLUMNS, _room() // max(widest, PICTURE * ICON))))
    return layout.grid_flow(row_major=True, columns=columns, even_columns=True, align=True)


def width_of(text: str) -> float:
    """Return the width of a line in Blender's letters, in pixels at scale 1."""
    import blf

    scale = bpy.context.preferences.system.ui_scale
    blf.size(0, LETTERS * scale)
    return float(blf.dimensions(0, text)[0]) / scale


def _room() -> float:
    """Return the width for words in the region that is being drawn, in pixels at scale 1."""
    return float(bpy.context.region.width / bpy.context.preferences.system.ui_scale - MARGIN)


def draw_show_switch(layout: bpy.types.UILayout, ob: bpy.types.Object) -> None:
    """Draw the switch between the live picture and the baked frames, where there are any."""
    if ob.edtalk.take_image is not None:
        row = layout.row(align=True)
        row.use_property_split = False
        row.prop(ob.edtalk, "show", expand=True)


class SidebarPanel(Panel):
    """Mix-in: a panel in our tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "EDTalk"


class CharacterPanel(SidebarPanel):
    """Mix-in: a panel of its own while a character is selected."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return character.is_character(context.object)


class CharacterSubPanel(CharacterPanel):
    """Mix-in: a panel below *Animate*, while a character is selected."""

    bl_parent_id = "EDTALK_PT_animate"


def format_bytes(size: int) -> str:
    """Return a number of bytes as people read it: `1.5 GB`, `20.0 MB`, `3 kB`."""
    for unit, name in ((1_000_000_000, "GB"), (1_000_000, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1000:.0f} kB"
