"""The processes that the server runs for: it ends when they have ended, however they died."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from shared_protocol.processes import is_running, process_start

log = logging.getLogger(__name__)

_MAX_PARENTS = 64


class Parents:
    """The processes that keep the server alive. If it starts with none, it stays until it is told to end."""

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._running: dict[int, str] = {}
        self.is_watching = False
        for pid in pids:
            self.is_watching = True
            self.add(pid)

    def add(self, pid: int) -> None:
        """Add a process that uses the server; one that has ended, or that cannot be looked at, does not count."""
        try:
            started = process_start(pid)
        except OSError as error:
            log.warning("cannot look at process %d: %s", pid, error)
            return
        if started is not None and len(self._running) < _MAX_PARENTS:
            self._running[pid] = started

    def all_gone(self) -> bool:
        """Was the server started for somebody, and have all of them ended?"""
        self._running = {pid: start for pid, start in self._running.items() if is_running(pid, start)}
        return self.is_watching and not self._running
