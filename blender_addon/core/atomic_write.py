# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written whole or not at all: beside their place, then put there in one go. No bpy here."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def partial(path: Path) -> Path:
    """What a file is called while this Blender writes it. (Another one may be writing the same.)"""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def write(path: Path, data: bytes) -> None:
    """Write a file. Raises `OSError`; what was there before stays then."""
    beside = partial(path)
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
