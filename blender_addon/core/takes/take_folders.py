# SPDX-License-Identifier: GPL-3.0-or-later
"""The takes of a character: their folders, the runs of frames in them, and which to delete. No bpy here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .take import MANIFEST, Take, names_in


def folder_name(character: str) -> str:
    """Return a character's name as a folder name that every system takes."""
    cleaned = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", character).strip(" .") or "character"
    return f"{cleaned}_" if re.fullmatch(r"(?i)(con|prn|aux|nul|(com|lpt)\d)(\..*)?", cleaned) else cleaned


def takes_in(folder: Path) -> Iterator[Take]:
    """Yield the takes of a character's folder by name, without their frames. A folder without a manifest is none."""
    for name in names_in(folder):
        if (folder / name / MANIFEST).is_file():
            yield Take.read_header(folder / name)


def new_folder(folder: Path) -> Path:
    """Return where a character's next take goes: `take_001`, or the first number that is free."""
    number = 1
    while (folder / f"take_{number:03d}").exists():
        number += 1
    return folder / f"take_{number:03d}"


@dataclass(frozen=True)
class TakeUsage:
    """What decides whether a take is deleted: its size in bytes, when it was used last (seconds since 1970)."""

    folder: Path
    size: int
    last_used: float
    in_use: bool


def choose_to_delete(usages: Iterable[TakeUsage], cap: int) -> list[TakeUsage]:
    """Return what to delete so that all takes hold `cap` bytes at most: the longest unused first, none in use."""
    takes = sorted(usages, key=lambda take: take.last_used)
    total, chosen = sum(take.size for take in takes), []
    for take in takes:
        if total > cap and not take.in_use:
            chosen.append(take)
            total -= take.size
    return chosen


def runs(frames: Collection[int]) -> list[range]:
    """Return the unbroken runs of some frames, rising."""
    if not frames:
        return []
    numbers = np.sort(np.fromiter(frames, np.int64, len(frames)))
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    firsts, lasts = numbers[np.append(0, breaks + 1)], numbers[np.append(breaks, len(numbers) - 1)]
    return [range(first, last + 1) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]


def run_to_show(frames: Collection[int], frame: int) -> range:
    """Return the unbroken run at `frame`, or else the longest; an empty one when there are none."""
    every = runs(frames)
    return next((run for run in every if frame in run), max(every, key=len, default=range(0)))
