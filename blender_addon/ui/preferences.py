# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The add-on's preferences."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

PACKAGE = __package__.rpartition(".")[0]


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

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.prop(self, "server_python")
        self.layout.prop(self, "start_with_blender")


def preferences() -> Preferences:
    """The preferences as the user set them."""
    return bpy.context.preferences.addons[PACKAGE].preferences


CLASSES = (Preferences,)
