# SPDX-License-Identifier: GPL-3.0-or-later
"""The takes of this file, for the list in the panel and the disk space they need. Each tick looks at a few files."""

from __future__ import annotations

from ...core import takes
from ...core.tasks import Steps, run_for
from ...scene.takes.take_places import Entry, scan_takes
from ..runtime import runtime
from ..runtime.preferences import take_limit
from .watch import WATCH

SCAN_S = 0.001
"""Seconds of looking at files in a tick."""


class TakeLibrary:
    """The takes of this file as the last scan found them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.serial = 0
        """A number that changes with each finished scan."""
        self._scan: Steps[list[Entry]] | None = None

    def forget(self) -> None:
        """Know of no takes, and look for none."""
        self._scan, self.entries = None, []

    def refresh(self) -> None:
        """Scan again: something changed."""
        self._scan = scan_takes()

    @property
    def is_hurried(self) -> bool:
        """Return whether there are files left to look at."""
        return self._scan is not None

    def tick(self) -> None:
        """Look at a few files."""
        if self._scan is not None and (done := run_for(self._scan, SCAN_S)):
            self._scan, self.entries = None, done.result
            self.serial += 1

    @property
    def size(self) -> int:
        """Return the bytes of all takes."""
        return sum(entry.size for entry in self.entries)

    def excess(self) -> list[takes.TakeUsage]:
        """Return the takes to delete to stay within the preferences' limit; none without a limit."""
        limit = take_limit()
        return takes.choose_to_delete((entry.kept for entry in self.entries), limit) if limit else []

    def unused(self) -> list[takes.TakeUsage]:
        """Return the takes that no character shows."""
        return [entry.kept for entry in self.entries if not entry.users]


LIBRARY = TakeLibrary()


def takes_changed() -> None:
    """Look at the takes again: frames were baked, or takes switched or deleted."""
    LIBRARY.refresh()
    WATCH.unsettle()
    runtime.current().wake()


def register() -> None:
    """Scan while the add-on is enabled."""
    LIBRARY.refresh()
    runtime.current().on_tick(LIBRARY.tick, lambda: LIBRARY.is_hurried)
    runtime.current().on_new_file(LIBRARY.refresh)


def unregister() -> None:
    """Forget the takes."""
    LIBRARY.forget()
