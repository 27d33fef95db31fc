# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters that were appended from another .blend: Blender adjusts the paths of images and sounds, ours we adjust."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import paths


def adjust_paths(ob: bpy.types.Object, blend: str) -> None:
    """Let the paths of a character out of the file `blend` mean what they meant there. Linked ones keep theirs."""
    if ob.library is not None or ob.override_library is not None or not ob.edtalk.is_character:
        return
    for name in paths.PATHS:
        if (meant := _meant(ob, name, blend)) is not None:
            setattr(ob.edtalk, name, paths.to_stored_path(meant))


def find_lost_paths(ob: bpy.types.Object) -> None:
    """The same for Blender 4.2, which tells nobody of appending, but keeps with the plane's mesh which file it came
    from: paths that lead nowhere here, but somewhere there, mean what is there. All others are left alone."""
    origin = getattr(ob.data, "library_weak_reference", None)
    if origin is None or not ob.is_editable or ob.override_library is not None:
        return
    for name in paths.PATHS:
        meant = _meant(ob, name, origin.filepath)
        if meant is not None and meant.exists() and not paths.absolute(getattr(ob.edtalk, name)).exists():
            setattr(ob.edtalk, name, paths.to_stored_path(meant))


def _meant(ob: bpy.types.Object, name: str, blend: str) -> Path | None:
    """What a relative path of a character means in the file `blend`; None for another one."""
    kept = getattr(ob.edtalk, name)
    if not kept.startswith("//"):
        return None
    return paths.absolute_from(paths.absolute(blend).parent, kept)
