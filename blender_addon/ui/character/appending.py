# SPDX-License-Identifier: GPL-3.0-or-later
"""Appended characters where Blender does not tell of appending: before 4.3 (later ones: `handlers.on_import`)."""

from __future__ import annotations

import bpy

from ...scene import appended, character

IS_TOLD = bpy.app.version >= (4, 3, 0)
"""Does Blender itself tell of appended data?"""

_count = -1
"""How many objects there were at the last look."""


def other_file() -> None:
    """Another file is open."""
    global _count
    _count = -1


def look_after() -> None:
    """From the timer, and before a task: when there are other objects than before, some may have been appended."""
    global _count
    if IS_TOLD or len(bpy.data.objects) == _count:
        return
    _count = len(bpy.data.objects)
    for ob in filter(character.is_character, bpy.data.objects):
        appended.find_lost_paths(ob)
