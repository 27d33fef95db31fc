# SPDX-License-Identifier: GPL-3.0-or-later
"""The characters that an edit is meant for: the active one, and with it those that are selected."""

from __future__ import annotations

import bpy

from ..scene import character


def edited_characters(context: bpy.types.Context) -> list[bpy.types.Object]:
    """Return the active character first, then the others that are selected and can be changed."""
    selected = [ob for ob in context.selected_objects if ob != context.object]
    return [
        ob
        for ob in (context.object, *selected)
        if ob is not None and character.is_character(ob) and ob.is_editable
    ]
