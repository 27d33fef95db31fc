"""Long work in small steps: a generator that says how far it is and can be closed at any of its pauses.

The server runs such work a step at a time, so that others get their turn and a cancel is heard; a command runs it
through. Closing it leaves no half-made file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")


class Step(NamedTuple):
    """So many of so many units are done (`total` 0: unknown), and what is being done."""

    done: int
    total: int
    stage: str


Steps = Generator[Step, None, Result]
"""Work that pauses at each `Step` and returns its result."""


def run_to_end(steps: Steps[Result], show: Callable[[Step], None] = lambda step: None) -> Result:
    """Do all of it; `show` is told of each step."""
    try:
        while True:
            show(next(steps))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()
