# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of files as a .blend keeps them, and as they can be opened."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import MOST_ALSO

from .references import find_object

ALSO = tuple(f"also_{number}" for number in range(1, MOST_ALSO + 1))
"""The properties of a character that hold further pictures of the person."""
PATHS = ("portrait", "voice", "transcript", "take", *ALSO)
"""The properties of a character that hold a file or a folder."""
PATH_OPTIONS = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()


def to_stored_path(path: str | Path) -> str:
    """Return a path as the .blend stores it: relative to the .blend once that is saved, unless on another drive."""
    if not bpy.data.filepath:
        return str(path)
    return _relative_to(None, path)


def absolute(path: str, library: bpy.types.Library | None = None) -> Path:
    """Return a stored path, of this .blend or of a library, as one that can be opened."""
    return absolute_from(None if library is None else absolute(library.filepath).parent, path)


def absolute_from(folder: Path | None, path: str) -> Path:
    """Do the same for a path that a .blend in `folder` stores (None: this .blend)."""
    start = None if folder is None else str(folder)
    result = _normalised(bpy.path.abspath(path, start=start))
    if path.startswith("//") and "\\" in path and not result.exists():  # the file was saved on Windows
        return _normalised(bpy.path.abspath(path.replace("\\", "/"), start=start))
    return result


def _normalised(path: str) -> Path:
    """Return an absolute path without `..`, also for a script's relative one: the server's current folder is another.

    Links are not resolved, because they may be moved. On other systems a Windows path stays as it is.
    """
    if os.name != "nt" and PureWindowsPath(path).is_absolute():
        return Path(path)
    return Path(os.path.normpath(Path(path).absolute()))


def default_place(name: str) -> str:
    """Return where a new file goes by default: beside the .blend.

    While the .blend is not saved, that is the folder that the file browser showed last (by script: the current one).
    """
    return str(Path(bpy.data.filepath).parent / name)


def file_of(ob: bpy.types.Object, name: str) -> Path | None:
    """Return the file or folder in the character's property `name`; None when it is empty."""
    path = getattr(ob.edtalk, name)
    return absolute(path, _library_of(ob, name)) if path else None


def _library_of(ob: bpy.types.Object, name: str) -> bpy.types.Library | None:
    """Return the library that a path is relative to; None: this .blend, as for an override's own values."""
    if ob.override_library is None:
        return ob.library
    original = ob.override_library.reference
    is_own = getattr(original.edtalk, name) != getattr(ob.edtalk, name)
    return None if is_own else original.library


def make_paths_relative(blend: str) -> list[tuple[int, str, str]]:
    """Make all paths of characters relative to `blend`, as which the file is about to be saved.

    Returns what was there before, for `put_paths_back`: the object's `session_uid`, the property, its value.
    """
    folder, before = str(Path(blend).parent), []
    for ob in bpy.data.objects:
        if not ob.edtalk.is_character or not ob.is_editable:
            continue
        for name in PATHS:
            path = file_of(ob, name)
            if path is not None and path.is_absolute() and _library_of(ob, name) is None:
                before.append((ob.session_uid, name, getattr(ob.edtalk, name)))
                setattr(ob.edtalk, name, _relative_to(folder, path))
    return before


def put_paths_back(before: list[tuple[int, str, str]]) -> None:
    """Undo `make_paths_relative`."""
    for uid, name, path in before:
        if (ob := find_object(uid)) is not None:
            setattr(ob.edtalk, name, path)


def _relative_to(folder: str | None, path: str | Path) -> str:
    """Return a path relative to a folder (None: this .blend), in a way that all systems read."""
    try:
        relative = bpy.path.relpath(str(path), start=folder)
    except ValueError:  # another drive on Windows
        return str(path)
    return relative.replace(os.sep, "/")


def read_file(path: Path | None, what: str, code: ErrorCode) -> bytes:
    """Return the bytes of a file, which is a `what` for people. Raises `EDTalkError` when it cannot be read."""
    file = existing_file(path, what, code)
    try:
        return file.read_bytes()
    except OSError as error:
        raise EDTalkError(
            code, f"The {what} {file} cannot be read: {error.strerror}.", f"Choose another {what} file."
        ) from error


def existing_file(path: Path | None, what: str, code: ErrorCode) -> Path:
    """Return `path`. Raises `EDTalkError` when it is None or no file."""
    if path is None:
        raise EDTalkError(code, f"No {what} is chosen.", f"Choose a {what} file.")
    if not path.is_file():
        raise EDTalkError(
            code, f"The {what} {path} is not there.", f"Put it back or choose another {what} file."
        )
    return path
