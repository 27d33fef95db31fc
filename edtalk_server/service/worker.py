"""A thread that works. It gets one step at a time, so that another job can go first between two steps."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from shared_protocol.errors import EDTalkError, ErrorCode

from .backend import WorkCancelled

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The end of a step: its `value` or `error`, its duration, and the `ticket` it was submitted with."""

    ticket: Any
    value: Any = None
    error: EDTalkError | None = None
    seconds: float = 0.0
    cancelled: bool = False


class Worker:
    """Runs steps in its own thread. That thread calls `wake` when an outcome waits, and `leave` when it ends.

    All methods are for the transport thread.
    """

    def __init__(
        self, wake: Callable[[], None], leave: Callable[[], None] = lambda: None, name: str = "model"
    ) -> None:
        self._wake, self._leave, self.name = wake, leave, name
        self._pending = 0
        self._steps: queue.SimpleQueue[tuple[Any, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"edtalk-{name}", daemon=True)
        self._thread.start()

    def submit(self, ticket: Any, step: Callable[[], Any]) -> None:
        """Run `step` after those that were submitted before."""
        self._pending += 1
        self._steps.put((ticket, step))

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcomes of the steps that have ended."""
        while not self._outcomes.empty():
            self._pending -= 1
            yield self._outcomes.get()

    @property
    def is_idle(self) -> bool:
        """Has it nothing to do, and was every outcome taken?"""
        return self._pending == 0

    def stop(self, timeout: float) -> bool:
        """End after the running step. Return False when that takes longer than `timeout` seconds."""
        self._steps.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._steps.get()) is not None:
            self._outcomes.put(_run_step(*item))
            self._wake()
        self._leave()


def _run_step(ticket: Any, step: Callable[[], Any]) -> Outcome:
    """Run a step. This is the edge of the process: whatever it raises becomes an error with cause and fix."""
    start = time.monotonic()
    try:
        return Outcome(ticket, value=step(), seconds=time.monotonic() - start)
    except WorkCancelled:
        return Outcome(ticket, cancelled=True)
    except EDTalkError as error:
        return Outcome(ticket, error=error)
    except Exception as error:
        log.exception("a step of the work failed")
        return Outcome(ticket, error=explain(error))


def explain(error: Exception) -> EDTalkError:
    """Return an error as one with cause and fix."""
    if isinstance(error, EDTalkError):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the latter: torch's
        fix = "Close other programs, or run the server on the CPU."
        return EDTalkError(ErrorCode.OUT_OF_MEMORY, "There was not enough memory.", fix)
    cause = f"The server met an unexpected error ({type(error).__name__}: {str(error)[:300]})."
    return EDTalkError(ErrorCode.INTERNAL, cause, "Look at the server's log and report it.")
