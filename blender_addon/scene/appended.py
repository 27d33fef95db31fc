# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters that were appended from another .blend: Blender adjusts the paths of images and sounds, ours we adjust."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import character


def adjust_paths(ob: bpy.types.Object, blend: str) -> None:
    """Let the paths of a character out of the file `blend` mean what they meant there. Linked ones keep theirs."""
    if ob.library is not None or ob.override_library is not None or not ob.edtalk.is_character:
        return
    folder = str(Path(bpy.path.abspath(blend)).parent)
    for name in character.PATHS:
        kept = getattr(ob.edtalk, name)
        if kept.startswith("//"):
            meant = character.absolute(bpy.path.abspath(kept, start=folder))
            setattr(ob.edtalk, name, character.kept_path(meant))
