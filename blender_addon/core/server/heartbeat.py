# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the server still there? Pure: the time is given. No bpy here."""

from __future__ import annotations

INTERVAL_S = 2.0
PATIENCE_S = 15.0
LONGEST_GAP_S = 0.5
"""Of a longer pause between two looks only this much counts: Blender itself may have been busy for minutes.
"""


class Heartbeat:
    """Asks after silence, and loses patience only over time in which it could have heard something."""

    def __init__(self, now: float) -> None:
        self._looked = now
        self._silence = 0.0
        self._asked_at = 0.0

    def heard(self) -> None:
        """Something came from the server."""
        self._silence = 0.0
        self._asked_at = 0.0

    def look(self, now: float) -> None:
        """Time passes while nothing is heard."""
        self._silence += min(max(0.0, now - self._looked), LONGEST_GAP_S)
        self._looked = now

    def should_ask(self) -> bool:
        """Is a ping due? True once for each interval of silence."""
        if self._silence - self._asked_at < INTERVAL_S:
            return False
        self._asked_at = self._silence
        return True

    @property
    def is_lost(self) -> bool:
        """Was there no answer for too long?"""
        return self._silence > PATIENCE_S
