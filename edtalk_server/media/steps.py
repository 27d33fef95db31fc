"""Long work in small steps: a generator that reports its progress and can be closed at any pause.

The server takes a few steps at a time, so that other jobs get their turn and a cancel takes effect; a command runs them
to the end. Closing leaves no half-made file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple, Protocol, TypeVar

Result = TypeVar("Result")
Other = TypeVar("Other")


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


_LOOK_S = 0.05
"""Seconds between two looks at work that goes on beside other work."""


class _UnwantedError(Exception):
    """Ends work whose result nobody waits for any more."""


def beside(
    waits: Callable[[Checkpoint], Other], works: Callable[[], Result], checkpoint: Checkpoint
) -> tuple[Other, Result]:
    """Return the results of two pieces of work that go on at once: `waits`, which mostly waits for another process, in
    a thread, and `works` in this one.

    `waits` gets a checkpoint of its own; what it tells is passed on once `works` is done. An exception of `works` or of
    `checkpoint` ends both.
    """
    told = [Step(0, 0, "")]
    ended = threading.Event()

    def watched(done: int = 0, total: int = 0, stage: str = "") -> None:
        if ended.is_set():
            raise _UnwantedError
        told[0] = Step(done, total, stage)

    thread = ThreadPoolExecutor(1)
    try:
        found = thread.submit(waits, watched)
        result = works()
        while not _is_done(found):
            checkpoint(*told[0])
    finally:
        ended.set()
        thread.shutdown(wait=False)
    return found.result(), result


def _is_done(found: Future[Other]) -> bool:
    return bool(wait([found], _LOOK_S).done)
