# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the server: state, progress and errors; device, memory and diagnostics; model bundles."""

from __future__ import annotations

import bpy

from shared_protocol.messages import BundleEntry

from ...core.text.translate import iface_
from ..runtime import runtime
from ..runtime.preferences import preferences
from ..sidebar import SidebarPanel, draw_words, format_bytes, side_by_side
from . import bundle_operators as bundles
from .server_operators import needs_restart


class ServerPanel(SidebarPanel, bpy.types.Panel):
    """State of the server. It starts by itself, so this comes last, and closed."""

    bl_idname = "EDTALK_PT_server"
    bl_label = "Server"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 9

    def draw(self, _context: bpy.types.Context) -> None:
        layout, status = self.layout, runtime.session().status
        draw_words(layout, status.line, status.icon)
        row = side_by_side(layout, "Restart", "Stop")
        if status.can_stop:
            row.operator("edtalk.restart_server", text="Restart", icon="FILE_REFRESH")
            row.operator("edtalk.stop_server", text="Stop", icon="QUIT")
        else:
            row.operator("edtalk.start_server", text="Start", icon="PLAY")
        layout.operator("edtalk.install_server", icon="IMPORT")


class ServerDetailsPanel(SidebarPanel, bpy.types.Panel):
    """Device, memory, and what to send with a bug report."""

    bl_idname = "EDTALK_PT_server_details"
    bl_label = "Device and Memory"
    bl_parent_id = "EDTALK_PT_server"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        layout, session = self.layout, runtime.session()
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(preferences(), "device")
        if needs_restart():
            draw_words(layout, iface_("The server runs with other settings: restart it to use these"), "INFO")
        if memory := session.status.memory:
            layout.label(text=memory, icon="MEMORY")
        layout.operator("edtalk.release_memory", icon="TRASH")
        row = side_by_side(layout, "Show Log", "Copy Diagnostics")
        row.operator("edtalk.show_log", icon="FILE_FOLDER")
        row.operator("edtalk.copy_diagnostics", icon="COPYDOWN")


class BundlesPanel(SidebarPanel, bpy.types.Panel):
    """The installed models, and those that can be downloaded."""

    bl_idname = "EDTALK_PT_bundles"
    bl_label = "Model Bundles"
    bl_parent_id = "EDTALK_PT_server"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        layout, entries = self.layout, bundles.known_bundles()
        for entry in entries:
            _draw_bundle(layout.box(), entry)
        if not entries:
            layout.label(text="The server lists them while it runs", icon="INFO")
        row = layout.row(align=True)
        row.operator("edtalk.import_bundle", text="Import Checkpoints", icon="IMPORT")
        row.operator("edtalk.list_bundles", text="", icon="FILE_REFRESH")


def _draw_bundle(box: bpy.types.UILayout, entry: BundleEntry) -> None:
    draw_words(box, bundles.title_of(entry), "CHECKMARK" if entry.running else "NONE")
    size = iface_("{size} pixels, ", size=entry.size) if entry.size else ""
    draw_words(box, f"{size}{format_bytes(entry.bytes)}, {entry.licence or iface_('unknown licence')}")
    if entry.description:
        draw_words(box, iface_(entry.description))
    if not entry.installed:
        box.operator("edtalk.download_bundle", text="Download", icon="INTERNET").name = entry.name
    elif not entry.running:
        box.operator("edtalk.use_bundle", text="Use").path = entry.path


CLASSES = (ServerPanel, ServerDetailsPanel, BundlesPanel)
