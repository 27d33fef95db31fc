# SPDX-License-Identifier: GPL-3.0-or-later
"""Name the weights as the active character's bundle does, also after another character, bundle or file."""

from __future__ import annotations

import bpy

from ...scene import character
from ...scene.properties import naming
from ..runtime import runtime
from ..runtime.redraw import redraw_areas

_knows_file = False
"""Whether names were taken from the open file."""


def tick() -> None:
    """Use the names of the active character; in a new file without one, those of its first character."""
    global _knows_file
    active = _active()
    if not character.is_character(active):
        active = None if _knows_file else naming.first_character()
    _knows_file = True
    if active is not None and naming.follow(active):
        redraw_areas()  # names stand in many editors


def forget_file() -> None:
    """Take the names of another file."""
    global _knows_file
    _knows_file = False
    tick()


def _active() -> bpy.types.Object | None:
    """Return the active object of the first window; without a window, of the context."""
    window = next(iter(bpy.context.window_manager.windows), None)
    layer = window.view_layer if window is not None else bpy.context.view_layer
    return layer.objects.active if layer is not None else None


def register() -> None:
    """Follow the active character while the add-on is enabled."""
    runtime.current().on_tick(tick)
    runtime.current().on_new_file(forget_file)
    runtime.current().around_tasks(after=tick)


def unregister() -> None:
    """Keep the names: `scene.naming` takes them back."""
