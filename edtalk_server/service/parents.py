"""For whom the server runs: it ends when the processes it was started for have ended, however they died."""

from __future__ import annotations

from collections.abc import Iterable

from shared_protocol.processes import is_running, process_start

_MOST = 64


class Parents:
    """The processes that keep the server. With none given at the start it stays until it is told to end."""

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._living: dict[int, str] = {}
        self.watching = False
        for pid in pids:
            self.watching = True
            self.add(pid)

    def add(self, pid: int) -> None:
        """A further process that uses the server; one that has already ended does not count."""
        started = process_start(pid)
        if started is not None and len(self._living) < _MOST:
            self._living[pid] = started

    def all_gone(self) -> bool:
        """Was the server started for somebody, and does nobody live any more?"""
        self._living = {pid: start for pid, start in self._living.items() if is_running(pid, start)}
        return self.watching and not self._living
