"""How fast a job goes, and how much of it to do in one step. Pure: the time is given."""

from __future__ import annotations

from collections import deque

_WINDOW = 16
LONGEST_STEP_S = 0.1
"""A render step should take no longer, so that a preview never waits longer for its turn."""


class Throughput:
    """Units a second over the last steps, and the seconds to go."""

    def __init__(self, total: int, now: float) -> None:
        self.total = total
        self.done = 0
        self._marks: deque[tuple[float, int]] = deque([(now, 0)], maxlen=_WINDOW)

    def advance(self, units: int, now: float) -> None:
        """`units` more are done at `now`."""
        self.done += units
        self._marks.append((now, self.done))

    @property
    def rate(self) -> float:
        """Units a second; 0 while unknown."""
        (start, before), (end, after) = self._marks[0], self._marks[-1]
        return (after - before) / (end - start) if end > start else 0.0

    @property
    def eta(self) -> float:
        """Seconds to go; -1 while unknown."""
        return (self.total - self.done) / self.rate if self.rate > 0 else -1.0


def next_batch(size: int, seconds: float, largest: int) -> int:
    """The batch size after a batch of `size` took `seconds`: larger while steps are short, smaller when too
    long."""
    if seconds > LONGEST_STEP_S:
        return max(1, size // 2)
    return min(largest, size * 2) if seconds < LONGEST_STEP_S / 3 else size
