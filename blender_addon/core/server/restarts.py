# SPDX-License-Identifier: GPL-3.0-or-later
"""When to start a server again that has died, and how to end one that does not want to. Pure: the time is
given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MOST_RESTARTS = 5
EARLY_S = 30.0
PAUSE_S = 1.0


@dataclass
class RestartPolicy:
    """At most five restarts in a row; only early deaths count, a server that has lived a while starts the
    count anew."""

    restarts: int = 0

    def may_restart(self, lived_s: float) -> bool:
        """Whether to start again after a life of `lived_s` seconds."""
        self.restarts = self.restarts + 1 if lived_s < EARLY_S else 1
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
        """What to do at `now`."""
        waited = now - self.begun
        due = 1 + (waited >= self.asked_s) + (waited >= self.terminated_s)
        if due <= self._given:
            return Push.WAIT
        self._given = due
        return (Push.ASK, Push.TERMINATE, Push.KILL)[due - 1]
