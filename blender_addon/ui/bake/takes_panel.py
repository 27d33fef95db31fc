# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The list of a character's takes: show one, delete others, and the disk space of all of them."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, PointerProperty, StringProperty

from ...core.text.translate import iface_
from ...scene import character, paths
from ...scene.takes import take_places
from ...scene.takes.take_places import Entry
from ..runtime import runtime
from ..runtime.preferences import preferences
from ..runtime.redraw import redraw_panels
from ..sidebar import SidebarPanel, draw_words, format_bytes
from .take_library import LIBRARY
from .wipe import draw_controls


class EDTalkTakeRow(bpy.types.PropertyGroup):
    """One take in the list."""

    folder: StringProperty()
    words: StringProperty()
    is_shown: BoolProperty()


class EDTalkTakeList(bpy.types.PropertyGroup):
    """The takes of the active character."""

    rows: CollectionProperty(type=EDTalkTakeRow)
    index: IntProperty(name="Take")


class TakesList(bpy.types.UIList):
    """Draws a row."""

    bl_idname = "EDTALK_UL_takes"

    def draw_item(
        self,
        _context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: object,
        item: EDTalkTakeRow,
        _icon: int,
        _active_data: object,
        _active_property: str,
    ) -> None:
        row = layout.row(align=True)
        words = f"{item.name}   {item.words}"  # two labels would share the room in halves
        row.label(text=words, icon="HIDE_OFF" if item.is_shown else "BLANK1", translate=False)
        if not item.is_shown:
            row.operator("edtalk.use_take", text="", icon="HIDE_ON", emboss=False).folder = item.folder
            row.operator("edtalk.delete_take", text="", icon="TRASH", emboss=False).folder = item.folder


class TakesPanel(SidebarPanel, bpy.types.Panel):
    """The takes on disk."""

    bl_idname = "EDTALK_PT_takes"
    bl_label = "Takes"
    bl_parent_id = "EDTALK_PT_frames"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, library = self.layout, LIBRARY
        takes = context.window_manager.edtalk_takes
        layout.template_list(TakesList.bl_idname, "", takes, "rows", takes, "index", rows=2)
        if takes.rows and character.is_character(context.object):
            draw_controls(layout, context.object)
        if library.entries:
            layout.label(text=iface_("All takes of this file: {size}", size=format_bytes(library.size)))
        if excess := library.excess():
            cap = preferences().take_cap
            draw_words(
                layout,
                iface_("That is more than the limit of {cap:g} GB in the preferences", cap=cap),
                "ERROR",
            )
            freed = iface_("Free {size}", size=format_bytes(sum(take.size for take in excess)))
            layout.operator("edtalk.purge_takes", text=freed, icon="TRASH").to_cap = True
        elif library.unused():
            layout.operator("edtalk.purge_takes", icon="TRASH")


class Rows:
    """Keeps the list in step with the library."""

    def __init__(self) -> None:
        self._shown: tuple[object, ...] = ()

    def tick(self) -> None:
        """Fill the list again when something changed."""
        ob = next((w.view_layer.objects.active for w in bpy.context.window_manager.windows), None)
        if ob is None or not character.is_character(ob):
            return
        state = LIBRARY.serial, ob.session_uid, ob.edtalk.take
        if state != self._shown:
            self._shown = state
            _fill(bpy.context.window_manager.edtalk_takes, ob)
            redraw_panels()


def _fill(takes: EDTalkTakeList, ob: bpy.types.Object) -> None:
    current = paths.file_of(ob, "take")
    folder = take_places.takes_folder(
        ob, current.parent.parent if current is not None else take_places.default_base()
    )
    takes.rows.clear()
    for entry in LIBRARY.entries:
        if entry.take.folder.parent == folder:
            row = takes.rows.add()
            row.name, row.folder = entry.take.folder.name, str(entry.take.folder)
            row.words, row.is_shown = _describe(entry), entry.take.folder == current
    takes.index = max(next((i for i, row in enumerate(takes.rows) if row.is_shown), 0), 0)


def _describe(entry: Entry) -> str:
    """Describe a take in a few words, in the user's language."""
    take_format = entry.take.format
    full, matte = (
        iface_("full") if take_format.framing == "full" else "",
        iface_("matte") if take_format.alpha else iface_("transparent") if take_format.cut_out else "",
    )
    size = f"{take_format.width} px" if take_format.framing == "face" and take_format.width else ""
    kinds = [take_format.encoding.upper(), size, full, matte]
    return f"{len(entry.take.hashes)} × {' '.join(filter(None, kinds))}, {format_bytes(entry.size)}"


CLASSES = (EDTalkTakeRow, EDTalkTakeList, TakesList, TakesPanel)


def register() -> None:
    """Declare the list, which is not saved with the file."""
    bpy.types.WindowManager.edtalk_takes = PointerProperty(type=EDTalkTakeList, options={"SKIP_SAVE"})
    runtime.current().on_tick(Rows().tick)


def unregister() -> None:
    """Remove the list."""
    del bpy.types.WindowManager.edtalk_takes
