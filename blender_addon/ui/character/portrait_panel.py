# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel about the portrait: which square of which picture, what it is worth, and what to do about it."""

from __future__ import annotations

import bpy

from ...core.text.translate import iface_
from ...scene import facing, portrait_crop
from ..sidebar import CharacterPanel, draw_words, side_by_side
from .portrait_operators import VERDICTS


class PortraitPanel(CharacterPanel, bpy.types.Panel):
    """Picture, crop and verdict."""

    bl_idname = "EDTALK_PT_portrait"
    bl_label = "Portrait"
    bl_parent_id = "EDTALK_PT_character"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = self.layout, context.object
        picture = ob.edtalk.picture
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(ob.edtalk, "portrait", text="File")
        layout.prop(picture, "image")
        self._draw_verdict(ob)
        layout.operator("edtalk.adjust_crop", icon="SELECT_SET")
        row = side_by_side(layout, "Find Face", "Next Face")
        row.operator("edtalk.find_face")
        row.operator("edtalk.next_face")
        column = layout.column(align=True)
        for name in ("center_x", "center_y", "side", "roll"):
            column.prop(picture, name)
        row = layout.row(align=True)
        row.operator("edtalk.face_camera", icon="CON_TRACKTO")
        if facing.constraint_of(ob) is not None:
            row.operator("edtalk.stop_facing", text="", icon="X")

    def _draw_verdict(self, ob: bpy.types.Object) -> None:
        """What the server thinks of the picture, as far as it saw what is chosen now."""
        inspected = portrait_crop.seen(ob) if portrait_crop.is_seen(ob) else None
        row = self.layout.row()
        if inspected is None:
            row.label(text="Not looked at yet", icon="QUESTION")
        else:
            good = inspected.verdict == "good"
            row.label(
                text=iface_(VERDICTS.get(inspected.verdict, inspected.verdict)),
                icon="CHECKMARK" if good else "ERROR",
            )
        row.operator("edtalk.check_portrait", icon="VIEWZOOM", text="")
        if inspected is not None and inspected.advice and inspected.advice not in ob.edtalk.notes:
            draw_words(self.layout, iface_(inspected.advice), "INFO")


CLASSES = (PortraitPanel,)
