# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel about frames: what is baked, how, and what the plane shows."""

from __future__ import annotations

import bpy

from shared_protocol.sizes import held_sizes, largest_size

from ...core.takes.staleness import Staleness, State
from ...core.text.translate import iface_
from ...scene import plane, portrait_crop
from ...scene.keys.signature import has_drivers
from ..runtime import runtime
from ..runtime.preferences import preferences
from ..sidebar import CharacterPanel, SidebarPanel, draw_show_switch, draw_words, side_by_side
from .watch import WATCH


class FramesPanel(CharacterPanel, bpy.types.Panel):
    """Baking, and what the plane shows."""

    bl_idname = "EDTALK_PT_frames"
    bl_label = "Bake"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene, ob = self.layout, context.scene, context.object
        row = layout.row(align=True)
        row.prop(scene, "frame_start", text="Start")
        row.prop(scene, "frame_end", text="End")
        column = layout.column(align=True)
        column.operator("edtalk.bake", icon="RENDER_ANIMATION")
        row = side_by_side(column, "Bake Range", "Bake All")
        row.operator("edtalk.bake_range")
        row.operator("edtalk.bake_all", text="Bake All")
        self._draw_state(ob)
        self._draw_view(scene, ob)
        layout.operator("edtalk.export_movie", icon="FILE_MOVIE")

    def _draw_state(self, ob: bpy.types.Object) -> None:
        """Which frames are to be baked."""
        staleness = WATCH.map
        if staleness is not None:
            draw_words(self.layout, staleness.words, _icon_of(staleness))
        if has_drivers(ob):
            text = iface_("Weights are driven: only Bake Changes can tell whether they changed")
            draw_words(self.layout, text, "INFO")

    def _draw_view(self, scene: bpy.types.Scene, ob: bpy.types.Object) -> None:
        """What the plane shows, and what is to know about it."""
        layout = self.layout
        draw_show_switch(layout, ob)
        for words, icon in _remarks(scene, ob):
            draw_words(layout, words, icon)


def _icon_of(staleness: Staleness) -> str:
    """Return the icon for the states of frames."""
    if not staleness.is_settled:
        return "SORTTIME"
    return "ERROR" if staleness.count(State.STALE, State.MISSING) else "CHECKMARK"


def _remarks(scene: bpy.types.Scene, ob: bpy.types.Object) -> list[tuple[str, str]]:
    group, remarks = ob.edtalk, list[tuple[str, str]]()
    if group.take_image is None and not preferences().bake_before_render:
        remarks.append((iface_("Bake before you render"), "INFO"))
    elif group.show == "LIVE" and not preferences().bake_before_render:
        remarks.append((iface_("Renders show the live picture: switch to Baked before rendering"), "INFO"))
    if group.show == "LIVE" and not runtime.session().is_connected:
        remarks.append((iface_("Start the server to see the live picture"), "INFO"))
    if plane.texture_node(ob) is None:
        remarks.append((iface_("The EDTalk material was removed: the picture has no place"), "ERROR"))
    if (
        group.show == "TAKE"
        and plane.is_linear(group.take_image)
        and scene.view_settings.view_transform != "Standard"
    ):
        text = iface_("OpenEXR frames are linear light: the view transform changes their colours")
        remarks.append((text, "INFO"))
    elif remark := plane.color_remark(scene):
        remarks.append((remark, "INFO"))
    return remarks


class FormatPanel(SidebarPanel, bpy.types.Panel):
    """How frames are made and kept."""

    bl_idname = "EDTALK_PT_format"
    bl_label = "Format"
    bl_parent_id = "EDTALK_PT_frames"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = self.layout, context.object
        bake = ob.edtalk.bake
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(bake, "framing")
        if bake.framing == "FACE":
            layout.prop(bake, "size")
            if words := _about_size(ob):
                draw_words(layout, words, "INFO")
        for name in ("encoding", "alpha"):
            layout.prop(bake, name)
        draw_words(layout, iface_("Another format, framing or size goes into a take of its own"), "INFO")


def _about_size(ob: bpy.types.Object) -> str:
    """Return why the face's pictures are smaller than the artist chose, as far as that is known; else nothing."""
    bundle, seen, wanted = runtime.session().bundle, portrait_crop.seen(ob), int(ob.edtalk.bake.size)
    if bundle is None or not bundle.sizes:
        return ""
    if bundle.sizes[-1] < wanted:
        return iface_("This model draws {size} pixels at most", size=bundle.sizes[-1])
    if seen is None or not portrait_crop.is_seen(ob):
        return ""
    size = largest_size(held_sizes(bundle.sizes, seen.crop.side), wanted)
    if size >= wanted:
        return ""
    return iface_(
        "The portrait shows the face in {side} pixels: frames have {size}",
        side=round(seen.crop.side),
        size=size,
    )


CLASSES = (FramesPanel, FormatPanel)
