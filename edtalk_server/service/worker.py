"""A thread that works. It is handed a step at a time, so that between two steps somebody else can be first."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from shared_protocol.errors import EDTalkError, ErrorCode

from .backend import Abandoned

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What came of a step: its `value` or the `error`, how long it took, and whom it was for."""

    ticket: Any
    value: Any = None
    error: EDTalkError | None = None
    seconds: float = 0.0
    abandoned: bool = False


class Worker:
    """Runs steps in its own thread; `wake` is called (there) when an outcome is waiting, `leave` at the thread's end.

    All methods are for the transport thread.
    """

    def __init__(
        self, wake: Callable[[], None], leave: Callable[[], None] = lambda: None, name: str = "model"
    ) -> None:
        self._wake, self._leave = wake, leave
        self._given = 0
        self._steps: queue.SimpleQueue[tuple[Any, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"edtalk-{name}", daemon=True)
        self._thread.start()

    def give(self, ticket: Any, step: Callable[[], Any]) -> None:
        """Run `step` after those that were given before."""
        self._given += 1
        self._steps.put((ticket, step))

    def outcomes(self) -> Iterator[Outcome]:
        """What is finished by now."""
        while not self._outcomes.empty():
            self._given -= 1
            yield self._outcomes.get()

    @property
    def is_idle(self) -> bool:
        """Has it nothing to do, and was all that it has done taken?"""
        return self._given == 0

    def stop(self, patience: float) -> bool:
        """End after the running step; False when that takes longer than `patience` seconds."""
        self._steps.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._steps.get()) is not None:
            self._outcomes.put(_outcome(*item))
            self._wake()
        self._leave()


def _outcome(ticket: Any, step: Callable[[], Any]) -> Outcome:
    """The edge of the process: whatever a step raises becomes an error in words."""
    start = time.monotonic()
    try:
        return Outcome(ticket, value=step(), seconds=time.monotonic() - start)
    except Abandoned:
        return Outcome(ticket, abandoned=True)
    except EDTalkError as error:
        return Outcome(ticket, error=error)
    except Exception as error:
        log.exception("a step of the work failed")
        return Outcome(ticket, error=_in_words(error))


def _in_words(error: Exception) -> EDTalkError:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the latter: torch's
        fix = "Close other programs, or run the server on the CPU."
        return EDTalkError(ErrorCode.OUT_OF_MEMORY, "There was not enough memory.", fix)
    cause = f"The server met an unexpected error ({type(error).__name__}: {str(error)[:300]})."
    return EDTalkError(ErrorCode.INTERNAL, cause, "Look at the server's log and report it.")
