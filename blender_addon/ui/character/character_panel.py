# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels that come first: new characters and what is running, then the sections *Setup* and *Animate*."""

from __future__ import annotations

import bpy

from ...core.tasks import Task
from ...core.text.translate import iface_
from ...scene import character, paths
from ..runtime import runtime
from ..server.install_operator import draw_install, is_missing
from ..sidebar import CharacterPanel, SidebarPanel, draw_words
from .view_character import view_hint

ROWS_OF_WORK = 2.0
"""Height of the first button, in rows: what is running takes its place, so that nothing below jumps under the mouse."""


class StartPanel(SidebarPanel, bpy.types.Panel):
    """A new character, or what is running; errors."""

    bl_idname = "EDTALK_PT_start"
    bl_label = "EDTalk"
    bl_order = 0

    def draw(self, _context: bpy.types.Context) -> None:
        layout, session = self.layout, runtime.session()
        if session.task is not None:
            _draw_task(layout, session.task)
        else:
            if is_missing():
                draw_install(layout)
            row = layout.column(align=True).row()
            row.scale_y = ROWS_OF_WORK
            row.operator("edtalk.new_character", icon="ADD")
        if session.trouble is not None:
            cause, fix = session.trouble
            box = layout.box()
            draw_words(box, iface_(cause), "ERROR")
            draw_words(box, iface_(fix), "INFO")


def _draw_task(layout: bpy.types.UILayout, task: Task) -> None:
    """Draw a task's progress in exactly `ROWS_OF_WORK` rows. (The status bar has room for all its words.)"""
    column, progress = layout.column(align=True), task.progress
    row = column.row(align=True)
    row.progress(factor=progress.fraction, text=f"{progress.fraction:.0%}" if progress.total else "")
    row.operator("edtalk.cancel", text="", icon="X")
    column.label(text=progress.text, translate=False)


class SetupPanel(SidebarPanel, bpy.types.Panel):
    """The selected character and its portrait."""

    bl_idname = "EDTALK_PT_character"
    bl_label = "Setup"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = self.layout, context.object
        if not character.is_character(ob):
            if character.characters(context.scene):
                draw_words(layout, iface_("Select a character, or make one"), "INFO")
            else:
                draw_words(layout, iface_("Make a character from a picture of a face"), "INFO")
            return
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(ob, "name", text="Name")
        if not ob.edtalk.picture.image:
            path = paths.file_of(ob, "portrait")
            row = layout.split(factor=0.4, align=True)
            row.alignment = "RIGHT"
            row.label(text="Portrait")
            row.operator(
                "edtalk.choose_portrait", text=path.name if path else "", icon="IMAGE_DATA", translate=False
            )
        layout.operator("edtalk.look_at_character", icon="HIDE_OFF")
        if words := view_hint(context.space_data, context.scene):
            draw_words(layout, words, "INFO")
        for note in filter(None, ob.edtalk.notes.split("\n")):
            draw_words(layout, iface_(note), "INFO")


class AnimatePanel(CharacterPanel, bpy.types.Panel):
    """Everything that makes the face move."""

    bl_idname = "EDTALK_PT_animate"
    bl_label = "Animate"
    bl_order = 2

    def draw(self, _context: bpy.types.Context) -> None:
        """Draw nothing: its panels do."""


CLASSES = (StartPanel, SetupPanel, AnimatePanel)
