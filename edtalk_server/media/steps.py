"""Long work in small steps: a generator that reports its progress and can be closed at any pause.

The server takes a few steps at a time, so that other jobs get their turn and a cancel takes effect; a command runs them
to the end. Closing leaves no half-made file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple, Protocol, TypeVar

Result = TypeVar("Result")


class Step(NamedTuple):
    """Progress: `done` of `total` units (0: unknown), and the `stage`, what is being done."""

    done: int
    total: int
    stage: str


Steps = Generator[Step, None, Result]
"""Work that pauses at each `Step` and returns its result."""


class Checkpoint(Protocol):
    """What long work that cannot pause calls between its pieces, about every tenth of a second.

    It may tell how far it is, as a `Step` does; without a `stage` it tells nothing new. An exception ends the work.
    """

    def __call__(self, done: int = 0, total: int = 0, stage: str = "") -> None:
        """Go on, or raise."""


def unwatched(done: int = 0, total: int = 0, stage: str = "") -> None:
    """Go on: nobody watches this work."""


def run_to_end(steps: Steps[Result], on_step: Callable[[Step], None] = lambda step: None) -> Result:
    """Do all the work and return its result; `on_step` gets each step."""
    try:
        while True:
            on_step(next(steps))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()
