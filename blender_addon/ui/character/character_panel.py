# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels that come first: new characters and what is running, then the sections *Setup* and *Animate*."""

from __future__ import annotations

import bpy

from ...core.tasks import Progress, Task
from ...core.text.translate import iface_
from ...scene import character, paths
from ..runtime import runtime
from ..runtime.face_pictures import PICTURES, REST
from ..runtime.waiting import LINE
from ..selection import edited_characters
from ..server.install_operator import draw_install, is_missing
from ..sidebar import CharacterPanel, SidebarPanel, draw_words
from .view_character import view_hint

SMALL = 2.1
"""Scale of the portrait's picture: as high as the two rows beside it."""
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
            lacks_server = is_missing()
            if lacks_server:
                draw_install(layout)
            row = layout.column(align=True).row()
            row.active = not lacks_server
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
    _draw_bar(row, progress)
    row.operator("edtalk.cancel", text="", icon="X")
    row.separator()
    row.operator("edtalk.new_character", text="", icon="ADD")
    count = len(LINE)
    row = column.split(factor=0.78, align=True) if count else column.row(align=True)
    row.label(text=progress.text, translate=False)
    if count:
        row.popover(QueuePanel.bl_idname, text=f"+{count}", translate=False)


def _draw_bar(row: bpy.types.UILayout, progress: Progress) -> None:
    row.progress(factor=progress.fraction, text=f"{progress.fraction:.0%}" if progress.total else "")


class QueuePanel(bpy.types.Panel):
    """What runs and what waits, in its order, each with its cross."""

    bl_idname = "EDTALK_PT_queue"
    bl_label = "Waiting Tasks"
    bl_space_type = "VIEW_3D"
    bl_region_type = "HEADER"
    bl_ui_units_x = 14

    def draw(self, _context: bpy.types.Context) -> None:
        task, column = runtime.session().task, self.layout.column()
        if task is not None:
            row = column.row(align=True)
            row.label(text=f"{iface_(task.title)}: {task.progress.text}", icon="PLAY", translate=False)
            row.operator("edtalk.cancel", text="", icon="X").waiting = 0
        for waiting in LINE:
            row = column.row(align=True)
            subject = f": {waiting.subject}" if waiting.subject else ""
            row.label(text=f"{iface_(waiting.title)}{subject}", icon="TIME", translate=False)
            row.operator("edtalk.cancel", text="", icon="X").waiting = waiting.number


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
        row = layout.split(factor=0.27)
        row.template_icon(icon_value=PICTURES.icon(ob, REST), scale=SMALL)
        column = row.column()
        column.prop(ob, "name", text="")
        if not ob.edtalk.picture.image:
            path = paths.file_of(ob, "portrait")
            column.operator(
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

    def draw(self, context: bpy.types.Context) -> None:
        """Draw how many characters are edited together; its panels draw the rest."""
        if (count := len(edited_characters(context))) > 1:
            words = iface_(
                "Buttons work on the {count} selected characters; a slider with Alt as well", count=count
            )
            draw_words(self.layout, words, "INFO")


CLASSES = (StartPanel, QueuePanel, SetupPanel, AnimatePanel)
