# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the server still there, may it be started again, how is it stopped? Pure: the time is given. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PING_INTERVAL_S = 2.0
"""Seconds of silence between two pings."""
PATIENCE_S = 15.0
"""Seconds of silence after which the connection counts as lost."""
LONGEST_GAP_S = 0.5
"""Of a longer pause between two looks only this much counts, in seconds: Blender may have been busy for minutes."""
MOST_RESTARTS = 5
EARLY_DEATH_S = 30.0
"""A server that lived for less seconds died early."""
RESTART_PAUSE_S = 1.0
"""Seconds between a server's death and its restart."""


class Heartbeat:
    """Asks after silence, and counts only silence in which an answer could have been read."""

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._silence = 0.0
        self._asked_at = 0.0

    def reset(self) -> None:
        """Note that something came from the server."""
        self._silence = 0.0
        self._asked_at = 0.0

    def advance(self, now: float) -> None:
        """Note that nothing has come until `now`."""
        self._silence += min(max(0.0, now - self._looked_at), LONGEST_GAP_S)
        self._looked_at = now

    def should_ask(self) -> bool:
        """Return whether a ping is due: true once for each interval of silence."""
        if self._silence - self._asked_at < PING_INTERVAL_S:
            return False
        self._asked_at = self._silence
        return True

    @property
    def is_lost(self) -> bool:
        """Has the server been silent for too long?"""
        return self._silence > PATIENCE_S


@dataclass
class RestartPolicy:
    """At most five restarts in a row. A server that has lived for a while starts the count again."""

    restarts: int = 0

    def may_restart(self, lived_s: float) -> bool:
        """Return whether to start a server again that has lived for `lived_s` seconds."""
        self.restarts = self.restarts + 1 if lived_s < EARLY_DEATH_S else 1
        return self.restarts <= MOST_RESTARTS


class Push(StrEnum):
    """What to do to a process that should end."""

    ASK = "ask"
    WAIT = "wait"
    TERMINATE = "terminate"
    KILL = "kill"


@dataclass
class StopLadder:
    """Ask, after three seconds terminate, after three more kill. Each push is given once."""

    begun: float
    asked_s: float = 3.0
    terminated_s: float = 6.0
    _given: int = 0

    def next(self, now: float) -> Push:
        """Return what to do at `now`."""
        waited = now - self.begun
        due = 1 + (waited >= self.asked_s) + (waited >= self.terminated_s)
        if due <= self._given:
            return Push.WAIT
        self._given = due
        return (Push.ASK, Push.TERMINATE, Push.KILL)[due - 1]
