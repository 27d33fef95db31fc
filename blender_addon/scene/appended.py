# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair the paths of characters that were appended from another .blend: Blender adjusts only its own."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import paths


def adjust_paths(ob: bpy.types.Object, blend: str) -> None:
    """Adjust the paths of a character that came from the file `blend`. Linked characters keep theirs."""
    if ob.library is not None or ob.override_library is not None or not ob.edtalk.is_character:
        return
    for name in paths.PATHS:
        if (meant := _meant(ob, name, blend)) is not None:
            setattr(ob.edtalk, name, paths.to_stored_path(meant))


def find_lost_paths(ob: bpy.types.Object) -> None:
    """Do the same in Blender 4.2, which has no handler for appending, but notes on the plane's mesh its file.

    Adjusts paths that lead nowhere from this .blend, but to a file from the other one.
    """
    origin = getattr(ob.data, "library_weak_reference", None)
    if origin is None or not ob.is_editable or ob.override_library is not None:
        return
    for name in paths.PATHS:
        meant = _meant(ob, name, origin.filepath)
        if meant is not None and meant.exists() and not paths.absolute(getattr(ob.edtalk, name)).exists():
            setattr(ob.edtalk, name, paths.to_stored_path(meant))


def _meant(ob: bpy.types.Object, name: str, blend: str) -> Path | None:
    """Return what a character's relative path means in the file `blend`; None for an absolute path."""
    stored = getattr(ob.edtalk, name)
    if not stored.startswith("//"):
        return None
    return paths.absolute_from(paths.absolute(blend).parent, stored)
