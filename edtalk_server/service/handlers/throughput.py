"""How fast a job goes, and how much of it to do in one step. Pure: the time is an argument."""

from __future__ import annotations

from collections import deque

from edtalk_server.media.steps import Step

_WINDOW = 16
"""Steps over which the rate is averaged."""
LONGEST_STEP_S = 0.1
"""Seconds that a step should take at most, so that a preview never waits longer for its turn."""


class Throughput:
    """Units per second over the last steps, and the seconds that remain."""

    def __init__(self, total: int, now: float) -> None:
        self.total = total
        self.done = 0
        self._marks: deque[tuple[float, int]] = deque([(now, 0)], maxlen=_WINDOW)

    def advance(self, units: int, now: float) -> None:
        """Count `units` more as done at `now`."""
        self.done += units
        self._marks.append((now, self.done))

    def reach(self, step: Step, now: float) -> None:
        """Note that the work has come to a step at `now`."""
        self.total = step.total
        self.advance(step.done - self.done, now)

    @property
    def rate(self) -> float:
        """Units per second; 0 while unknown."""
        (start, done_before), (end, done_after) = self._marks[0], self._marks[-1]
        return (done_after - done_before) / (end - start) if end > start else 0.0

    @property
    def eta(self) -> float:
        """Seconds that remain; -1 while unknown."""
        return (self.total - self.done) / self.rate if self.rate > 0 else -1.0


class BatchSize:
    """The frames of one render step; shared by all renders, because one model draws them all."""

    def __init__(self) -> None:
        self.frames = 1

    def adapt(self, frames: int, seconds: float, largest: int) -> None:
        """Choose the next size, `largest` at most, after a batch of `frames` took `seconds`."""
        self.frames = next_batch(frames, seconds, largest)


def next_batch(size: int, seconds: float, largest: int) -> int:
    """Return the batch size after a batch of `size` took `seconds`: larger after a short step, smaller after a long
    one."""
    if seconds > LONGEST_STEP_S:
        return max(1, size // 2)
    return min(largest, size * 2) if seconds < LONGEST_STEP_S / 2 else size
