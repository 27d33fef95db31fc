# SPDX-License-Identifier: GPL-3.0-or-later
"""Let Blender draw parts of its windows again."""

from __future__ import annotations

from collections.abc import Container

import bpy


def redraw_areas(types: Container[str] | None = None) -> None:
    """Redraw the areas of these types in every window; None: all areas."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if types is None or area.type in types:
                area.tag_redraw()


def redraw_panels() -> None:
    """Redraw the 3D views with our panel."""
    redraw_areas({"VIEW_3D"})


def redraw_sidebars() -> None:
    """Redraw the sidebars alone: the 3D view beside the panel may be slow to draw."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type == "VIEW_3D" else ():
                if region.type == "UI":
                    region.tag_redraw()
