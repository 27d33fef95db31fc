"""Speed measurements, side by side.

Work that is compared takes turns, round by round, so that the load of other programs affects all of it; each number is
the median of its rounds. Rates are by the wall clock; the processor time of one unit stands beside them, because a busy
machine disturbs it less. No test asserts these numbers.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch

Work = Callable[[], float]
"""Does something and returns the number of units done."""


@dataclass(frozen=True)
class Speed:
    """Units a second by the wall clock, and milliseconds of processor time for one unit, over all threads."""

    rate: float
    cpu_ms: float


@dataclass(frozen=True)
class Line:
    """One result: `value` in `unit`, and what was measured in words. Ratios have the unit `x`."""

    key: str
    value: float
    unit: str
    what: str
    cpu_ms: float | None = None

    @classmethod
    def of(cls, key: str, speed: Speed, unit: str, what: str) -> Line:
        """Return the line of a rate."""
        return cls(key, speed.rate, unit, what, speed.cpu_ms)

    def __str__(self) -> str:
        spent = "" if self.cpu_ms is None else f"{self.cpu_ms:.1f} ms"
        return f"{self.value:>9.{1 if self.value >= 10 else 2}f} {self.unit:<11} {spent:>10}  {self.what}"

    def to_dict(self) -> dict[str, Any]:
        """Return the line as JSON."""
        return asdict(self)


HEADER = f"{'measured':>9} {'':<11} {'CPU each':>10}  what"


def ratio(key: str, upper: Line, lower: Line, what: str) -> Line:
    """Return the line of `upper` divided by `lower`."""
    return Line(key, upper.value / lower.value, "x", what)


def speeds(works: Mapping[str, Work], rounds: int) -> dict[str, Speed]:
    """Measure the speed of each of `works`. They take turns; the first turn of each warms up and does not count."""
    turns: dict[str, list[Speed]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            wall, busy = time.perf_counter(), time.process_time()
            done = work()
            spent = time.process_time() - busy
            if number:
                turns[name].append(Speed(done / (time.perf_counter() - wall), 1000 * spent / done))
    return {
        name: Speed(median(turn.rate for turn in own), median(turn.cpu_ms for turn in own))
        for name, own in turns.items()
    }


def with_threads(count: int, work: Work) -> Work:
    """Return `work` limited to `count` threads of torch."""

    def worked() -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            return work()
        finally:
            torch.set_num_threads(before)

    return worked


def machine() -> dict[str, Any]:
    """Describe the machine and its load at the start."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
