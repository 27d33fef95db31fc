"""What the pool needs of a worker, and how one is set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class WorkerLostError(Exception):
    """The worker has ended, or its machine has gone; what it was doing is not done."""


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker draws.

    `bundle`: a path or name (None: the fake engine, for tests, which takes `seconds_per_frame`); `digest`: what the
    bundle must be (empty: any). `device`: auto, cpu, cuda or mps.
    """

    bundle: str | None
    device: str = "auto"
    digest: str = ""
    seconds_per_frame: float = 0.0


class Worker(Protocol):
    """A worker somewhere. One caller at a time."""

    def ask(self, request: bytes) -> bytes:
        """Return the answer to a message of `wire`. A worker that has ended is started again first.

        Raises `WorkerLostError` when it ends before it answers.
        """

    def memory(self) -> int:
        """Return the bytes of this machine's memory that it uses; 0 where that is not known."""

    def close(self) -> None:
        """End it, also in the middle of an answer. Any thread."""
