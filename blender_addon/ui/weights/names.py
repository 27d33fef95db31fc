# SPDX-License-Identifier: GPL-3.0-or-later
"""When the weights take the names of another bundle: with another active character, model, or file."""

from __future__ import annotations

import bpy

from ...scene import character, naming

_knows_file = False
"""Were names taken from this file?"""


def look_after() -> None:
    """From the timer: the active character's names; in a file without one, those of the first character."""
    global _knows_file
    active = _active()
    if not character.is_character(active):
        active = None if _knows_file else naming.first_character()
    _knows_file = True
    if active is not None and naming.follow(active):
        _redraw_all()


def other_file() -> None:
    """Another file is open."""
    global _knows_file
    _knows_file = False
    look_after()


def _active() -> bpy.types.Object | None:
    """The active object of the first window; without one, of the scene."""
    window = next(iter(bpy.context.window_manager.windows), None)
    layer = window.view_layer if window is not None else bpy.context.view_layer
    return layer.objects.active if layer is not None else None


def _redraw_all() -> None:
    """Names stand in many editors."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            area.tag_redraw()
