# SPDX-License-Identifier: GPL-3.0-or-later
"""Find appended characters in Blender 4.2, which has no handler for it (later ones: `handlers.on_import`)."""

from __future__ import annotations

import bpy

from ...scene import appended, character
from ..runtime import runtime

HAS_HANDLER = bpy.app.version >= (4, 3, 0)
"""Whether Blender calls a handler when data is appended."""

_count = -1
"""Number of objects at the last tick; -1 in a new file."""


def forget_file() -> None:
    """Look at the objects of another file."""
    global _count
    _count = -1


def tick() -> None:
    """Repair the paths of appended characters when the number of objects changed."""
    global _count
    if HAS_HANDLER or len(bpy.data.objects) == _count:
        return
    _count = len(bpy.data.objects)
    for ob in filter(character.is_character, bpy.data.objects):
        appended.find_lost_paths(ob)


def register() -> None:
    """Look for appended characters while the add-on is enabled."""
    runtime.current().on_tick(tick)
    runtime.current().on_new_file(forget_file)
    runtime.current().around_tasks(before=tick)


def unregister() -> None:
    """Start again with the next file."""
    forget_file()
