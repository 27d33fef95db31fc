# SPDX-License-Identifier: GPL-3.0-or-later
"""Where takes are, which one a character bakes into, and which of this file there are."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import bpy

from shared_protocol import paths as user_paths
from shared_protocol.messages import Prepared
from shared_protocol.sizes import largest_size

from ...core import takes
from ...core.tasks import Steps
from .. import character, paths

UNSAVED = f"{time.strftime('%Y-%m-%d %H-%M-%S')} {os.getpid()}"
"""Folder of the takes of files that were never saved, for this run of Blender."""


def default_base() -> Path:
    """Return the folder for takes: beside the .blend, or in the user's data folder while that is not saved."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / "edtalk"
    return user_paths.data_dir() / "unsaved" / UNSAVED


def owner() -> str:
    """Return the name with which takes of this file are marked."""
    return Path(bpy.data.filepath).name


def folder_for_baking(
    ob: bpy.types.Object, base: Path, take_format: takes.TakeFormat, new_take: bool = False
) -> Path:
    """The take to bake frames of this format into, below `base`: the one that the character has there, another of its
    takes with this format, or a new one; with `new_take` always that.

    A take that another character (a duplicate, say) or another .blend bakes into is not free.
    """
    folder, old = takes_folder(ob, base), paths.file_of(ob, "take")
    known = sorted(
        takes.takes_in(folder), key=lambda take: (take.folder == old, take.last_used), reverse=True
    )
    for take in [] if new_take else known:
        if is_free(ob, take) and (take.is_empty or take.format.is_like(take_format)):
            return take.folder
    return takes.new_folder(folder)


def takes_folder(ob: bpy.types.Object, base: Path) -> Path:
    """The folder of a character's takes: where its take is, when that is below `base` and its own (the character may
    have been renamed), else one that is called like the character."""
    take = paths.file_of(ob, "take")
    if take is not None and take.is_relative_to(base) and not _users_of(take, but=ob):
        return take.parent
    return base / takes.folder_name(ob.name)


def is_free(ob: bpy.types.Object, take: takes.Take) -> bool:
    """Return whether the character may bake into a take: not when another character or .blend uses or made it."""
    return not _users_of(take.folder, but=ob) and take.is_free_for(owner()) and not _is_anothers(ob, take)


def is_mine(take: takes.Take) -> bool:
    """Return whether this .blend baked a take, and not another one of the same name beside the take's folder."""
    beside = take.folder.parent.parent.parent / owner()
    is_another = beside.is_file() and os.path.realpath(beside) != os.path.realpath(bpy.data.filepath)
    return take.owner == owner() and not is_another


def _is_anothers(ob: bpy.types.Object, take: takes.Take) -> bool:
    """Return whether another character made this take, even if it does not show it."""
    if take.character in ("", ob.name) or take.is_empty or paths.file_of(ob, "take") == take.folder:
        return False
    return any(other.name == take.character for other in bpy.data.objects if character.is_character(other))


def _users_of(folder: Path, but: bpy.types.Object) -> list[bpy.types.Object]:
    return [ob for ob in bpy.data.objects if ob != but and paths.file_of(ob, "take") == folder]


@dataclass(frozen=True)
class Entry:
    """One take of this file; `users` are the characters that show it."""

    take: takes.Take
    size: int
    users: tuple[str, ...]

    @property
    def kept(self) -> takes.TakeUsage:
        """As `takes.choose_to_delete` wants it."""
        return takes.TakeUsage(self.take.folder, self.size, self.take.last_used, bool(self.users))


def scan_takes() -> Steps[list[Entry]]:
    """Find the takes of all characters of this file, a little at a time."""
    entries, users = list[Entry](), _find_users()
    for base in sorted({default_base(), *(folder.parent.parent for folder in users)}):
        for folder in _folders_in(base):
            for take in takes.takes_in(folder):
                if is_mine(take):
                    whole = yield from takes.Take.open_in_steps(take.folder)
                    size = yield from whole.size()
                    entries.append(Entry(whole, size, tuple(users.get(take.folder, ()))))
                yield
    return entries


def _folders_in(base: Path) -> list[Path]:
    """Return what is in a folder; nothing where it is missing or may not be read."""
    try:
        return sorted(base.iterdir())
    except OSError:
        return []


def _find_users() -> dict[Path, list[str]]:
    """Return the take folders that characters show, with the characters' names."""
    users: dict[Path, list[str]] = {}
    for ob in bpy.data.objects:
        folder = paths.file_of(ob, "take") if ob.edtalk.is_character else None
        if folder is not None:
            users.setdefault(folder, []).append(ob.name)
    return users


def format_of(ob: bpy.types.Object, prepared: Prepared, keeps_cut_outs: bool) -> takes.TakeFormat:
    """The format that the character's settings ask for, as far as this source goes. `keeps_cut_outs`: the server draws
    full frames of a cut-out with its alpha."""
    bake = ob.edtalk.bake
    is_full = bake.framing == "FULL"
    if is_full:
        width, height = prepared.full_width, prepared.full_height
    else:
        width = height = largest_size(prepared.sizes or (prepared.width,), int(bake.size))
    cut_out = is_full and prepared.cut_out and keeps_cut_outs
    return takes.TakeFormat(bake.encoding.lower(), bake.framing.lower(), bake.alpha, width, height, cut_out)
