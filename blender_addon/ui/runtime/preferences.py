# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The add-on's preferences."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ...core.text.translate import CONTEXT

DEVICES = (
    ("auto", "Automatic", "The graphics card where there is a fast one, else the processor"),
    ("cpu", "Processor", "Leave the graphics card to Blender"),
    ("cuda", "CUDA", "An NVIDIA graphics card, or an AMD one with ROCm"),
    ("mps", "Metal", "An Apple graphics processor"),
)


def _pie_wanted(_self: object, _context: bpy.types.Context) -> None:
    from .. import pie

    pie.follow_preference()


PACKAGE = __package__.rsplit(".", 2)[0]


class Preferences(bpy.types.AddonPreferences):
    """Where the server is, and when it starts."""

    bl_idname = PACKAGE

    server_python: StringProperty(
        name="Server's Python",
        description="The Python of the environment that holds the EDTalk server. Empty: as the installer noted",
        subtype="FILE_PATH",
    )
    start_with_blender: BoolProperty(
        name="Start with Blender", description="Start the server when Blender starts", default=False
    )
    device: EnumProperty(
        name="Device",
        description="Where the model computes. A change needs the server to be restarted",
        items=DEVICES,
        translation_context=CONTEXT,
        default="auto",
    )
    bundle: StringProperty(
        name="Model Bundle",
        description="The bundle that the server starts with: a folder or a shipped name. Empty: the shipped one, or "
        "that of the server that runs already",
    )
    pie_menu: BoolProperty(
        name="Pie Menu",
        description="Ctrl Shift E in Object Mode opens a pie menu with what is done most with a character",
        default=False,
        update=_pie_wanted,
    )

    draw_stale: BoolProperty(
        name="Baked Frames on the Timeline",
        description="Draw below the ruler of the animation editors which frames of the active character are baked",
        default=True,
    )
    bake_before_render: BoolProperty(
        name="Bake before Rendering",
        description="Every render first waits until what is stale is baked, and shows the baked frames",
        default=False,
    )
    take_cap: FloatProperty(
        name="Room for Takes (GB)",
        description="When the takes of a file need more, the panel offers to delete the longest unused ones. 0: never",
        default=20.0,
        min=0.0,
        soft_max=1000.0,
    )

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.prop(self, "server_python")
        for name in ("start_with_blender", "device", "bundle", "pie_menu"):
            self.layout.prop(self, name)
        for name in ("draw_stale", "bake_before_render", "take_cap"):
            self.layout.prop(self, name)


def server_options() -> tuple[str, ...]:
    """What of `edtalk serve` the user chose; empty where all is left to the server."""
    chosen = preferences()
    device = ("--device", chosen.device) if chosen.device != "auto" else ()
    return (*device, *(("--bundle", chosen.bundle) if chosen.bundle else ()))


def preferences() -> Preferences:
    """The preferences as the user set them."""
    return bpy.context.preferences.addons[PACKAGE].preferences


CLASSES = (Preferences,)
