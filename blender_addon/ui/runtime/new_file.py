# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators that write a file share: where it goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from ...scene import paths


class NewFile:
    """Mix-in of an operator that writes `filepath`, which ends with one of its `suffixes`."""

    suffixes: tuple[str, ...] = ()
    if TYPE_CHECKING:
        filepath: str

    def check(self, _context: bpy.types.Context) -> bool:
        """While a name is typed: it gets its suffix, so that the file browser asks before a file of that name is
        overwritten. True: it changed."""
        typed = self.filepath
        if not typed.endswith(("/", os.sep)) and not typed.lower().endswith(self.suffixes):
            self.filepath = typed + self.suffixes[0]
        return self.filepath != typed


def place(path: str, offered: str) -> Path:
    """Return where the file goes: named `offered` in a folder, or beside this .blend; with a suffix in any case."""
    whole = paths.absolute(path or paths.default_place(offered))
    if whole.is_dir():
        return whole / offered
    return whole if whole.suffix else whole.with_suffix(Path(offered).suffix)
