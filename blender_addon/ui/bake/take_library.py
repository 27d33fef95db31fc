# SPDX-License-Identifier: GPL-3.0-or-later
"""The takes of this file, looked for a little at each tick, for the list and the room they need."""

from __future__ import annotations

from ...core.takes import takes
from ...core.tasks import Steps, run_for
from ...scene.takes.take_places import Entry, scanned
from ..runtime.preferences import preferences

GIGABYTE = 1_000_000_000
SCAN_S = 0.001


def words_for(size: int) -> str:
    """Bytes for people."""
    for unit, name in ((GIGABYTE, "GB"), (1_000_000, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1000:.0f} kB"


class Library:
    """The takes of this file as they were found last."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.serial = 0
        """Another number after each look."""
        self._scan: Steps[list[Entry]] | None = scanned()

    def refresh(self) -> None:
        """Something changed: look again soon."""
        self._scan = scanned()

    @property
    def is_hurried(self) -> bool:
        """Are there more files to look at soon?"""
        return self._scan is not None

    def look_after(self) -> None:
        """From the timer: look at a few files."""
        if self._scan is not None and (done := run_for(self._scan, SCAN_S)):
            self._scan, self.entries = None, done.result
            self.serial += 1

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(entry.size for entry in self.entries)

    def excess(self) -> list[takes.Kept]:
        """What would have to go for the cap of the preferences; nothing without one."""
        cap = int(preferences().take_cap * GIGABYTE)
        return takes.too_much((entry.kept for entry in self.entries), cap) if cap else []

    def unused(self) -> list[takes.Kept]:
        """What no character shows."""
        return [entry.kept for entry in self.entries if not entry.users]
