# SPDX-License-Identifier: GPL-3.0-or-later
"""Which preview is sent next: one is in flight, and of those that wait only the newest of each slot is kept.

Scrubbing asks for pictures faster than any server draws them, and only the last one matters. No bpy here.
"""

from __future__ import annotations


class PendingPreviews:
    """Names of preview jobs, by slot (a character, say)."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}
        self._in_flight = ""

    def add(self, slot: str, job: str) -> str:
        """Let a preview wait; return the one of its slot that it replaces, or an empty name."""
        superseded = self._waiting.pop(slot, "")
        self._waiting[slot] = job
        return superseded

    def next(self) -> str:
        """Return the preview to send now, or an empty name while one is in flight or none waits."""
        if self._in_flight or not self._waiting:
            return ""
        self._in_flight = self._waiting.pop(next(iter(self._waiting)))
        return self._in_flight

    def end(self, job: str) -> None:
        """Forget a job that has ended, whether it waited or was in flight."""
        self._waiting = {slot: name for slot, name in self._waiting.items() if name != job}
        if job == self._in_flight:
            self._in_flight = ""
