# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The add-on's preferences."""

from __future__ import annotations

from collections.abc import Callable

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ...core.text.translate import CONTEXT
from .redraw import redraw_areas

DEVICES = (
    ("auto", "Automatic", "The graphics card where there is a fast one, otherwise the processor"),
    ("cpu", "Processor", "Leave the graphics card to Blender"),
    ("cuda", "CUDA", "An NVIDIA graphics card, or an AMD one with ROCm"),
    ("mps", "Metal", "An Apple graphics processor"),
)


_on_change: list[Callable[[], None]] = []
"""Called when the user switches the pie menu on or off (see `on_pie_menu`)."""


def on_pie_menu(follow: Callable[[], None] | None) -> None:
    """Call `follow` whenever the preference *Pie Menu* changes; None: call nobody."""
    _on_change[:] = [follow] if follow is not None else []


def _pie_menu_changed(_self: object, _context: bpy.types.Context) -> None:
    for follow in _on_change:
        follow()


def _redraw(_self: object, _context: bpy.types.Context) -> None:
    redraw_areas({"VIEW_3D"})


PACKAGE = __package__.rsplit(".", 2)[0]


class Preferences(bpy.types.AddonPreferences):
    """Where the server is, and when it starts."""

    bl_idname = PACKAGE

    server_python: StringProperty(
        name="Server's Python",
        description="Python of the environment with the EDTalk server. Empty: the one that the installer noted",
        subtype="FILE_PATH",
    )
    start_with_blender: BoolProperty(
        name="Start with Blender", description="Start the server when Blender starts", default=False
    )
    device: EnumProperty(
        name="Device",
        description="Where the model runs. Restart the server after a change",
        items=DEVICES,
        translation_context=CONTEXT,
        default="auto",
    )
    bundle: StringProperty(
        name="Model Bundle",
        description="Bundle that the server starts with: a folder, or the name of a shipped one. Empty: the shipped "
        "one, or that of a running server",
    )
    pie_menu: BoolProperty(
        name="Pie Menu",
        description="Ctrl Shift E in Object Mode opens a pie menu with the most used operators",
        default=False,
        update=_pie_menu_changed,
    )

    face_controls: BoolProperty(
        name="On-Face Controls",
        description="Show handles on the active character's face in the 3D view: drag them to move jaw, lips, brows, "
        "lids, gaze and head. I over a handle keys it",
        default=True,
        update=_redraw,
    )
    both_sides: BoolProperty(
        name="Both Sides",
        description="Handles of lids and corners of the mouth move the other side as well. Ctrl: the other way round",
        default=True,
    )
    draw_stale: BoolProperty(
        name="Baked Frames on the Timeline",
        description="Show below the ruler of the animation editors which frames of the active character are baked",
        default=True,
    )
    bake_before_render: BoolProperty(
        name="Bake before Rendering",
        description="Before every render, bake the frames that changed. The render shows the baked frames",
        default=False,
    )
    take_cap: FloatProperty(
        name="Room for Takes (GB)",
        description="When takes need more, the panel offers to delete the least recently used ones. 0: no limit",
        default=20.0,
        min=0.0,
        soft_max=1000.0,
    )

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.prop(self, "server_python")
        for name in ("start_with_blender", "device", "bundle", "pie_menu"):
            self.layout.prop(self, name)
        for name in ("face_controls", "both_sides", "draw_stale", "bake_before_render", "take_cap"):
            self.layout.prop(self, name)


def server_options() -> tuple[str, ...]:
    """Return the options of `edtalk serve` that the user chose; empty where the server decides."""
    chosen = preferences()
    device = ("--device", chosen.device) if chosen.device != "auto" else ()
    return (*device, *(("--bundle", chosen.bundle) if chosen.bundle else ()))


def take_limit() -> int:
    """Return the bytes that the takes of a file may need; 0: any number."""
    return int(preferences().take_cap * 1e9)


def preferences() -> Preferences:
    """Return the preferences as the user set them."""
    return bpy.context.preferences.addons[PACKAGE].preferences


CLASSES = (Preferences,)
