# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of asset catalogs beside a .blend. No bpy here."""

from __future__ import annotations

from pathlib import Path

from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

FILE = "blender_assets.cats.txt"
HEADER = "# Catalogs of the assets in this folder and below.\nVERSION 1\n\n"
EDTALK = "6f6b3b5e-8f37-4d0b-9a9e-2f4b8f0d1c51"
"""Identity of our catalog, the same in every folder, so assets stay in it when they move."""


def add(folder: Path, identity: str, name: str) -> Path:
    """Add a catalog to the list in `folder`, or in the nearest parent that has one, and return the list's path.

    Existing catalogs stay. The file is replaced atomically. Raises `EDTalkError` when it cannot be
    read or written.
    """
    try:
        return _add(folder, identity, name)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The list of asset catalogs beside the file cannot be changed ({why}).",
            "Make its folder writable, or save the .blend elsewhere.",
        ) from error


def _add(folder: Path, identity: str, name: str) -> Path:
    path = next(
        (place / FILE for place in (folder, *folder.parents) if (place / FILE).is_file()), folder / FILE
    )
    text = path.read_text("utf-8") if path.is_file() else HEADER
    if any(line.startswith(f"{identity}:") for line in text.splitlines()):
        return path
    text += ("" if text.endswith("\n") else "\n") + f"{identity}:{name}:{name}\n"
    atomic_write.write(path, text.encode())
    return path
