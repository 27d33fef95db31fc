"""The open jobs of all clients, and whose turn it is. Pure bookkeeping, owned by the transport thread.

A job is open from its request to its one terminal message. Only `JobQueue.close` ends a job, and only once:
whoever gets True from it sends the terminal message. Results of a job that is no longer open are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Message

from .handlers import Handler, WorkerKind
from .handlers.handler import Turn
from .limits import MAX_JOBS_PER_CLIENT, MAX_OPEN_BYTES

LONGEST_WAIT_S = 0.5
"""Seconds that a kind of job waits for more urgent ones. A step lasts about a tenth of a second, so bakes keep a sixth
of the time, and about one preview in twenty waits for such a step."""


@dataclass(eq=False)
class Job:
    """One request of a client, and the handler that does it. `steps`: how many of its steps workers have."""

    connection: bytes
    client: str
    handler: Handler[Any]
    steps: int = 0
    open: bool = True

    @property
    def name(self) -> str:
        """The client's name for the job."""
        return job_name(self.handler.request)

    @property
    def running(self) -> bool:
        """Does a worker have one of its steps?"""
        return self.steps > 0

    @property
    def needs_model(self) -> bool:
        """Is it for the model?"""
        return self.handler.worker in (WorkerKind.MODEL, WorkerKind.DRAWING, WorkerKind.PREVIEWS)

    @property
    def is_ready(self) -> bool:
        """Can a worker do something for it now?"""
        return (not self.steps or self.handler.is_parallel) and self.handler.is_ready

    def is_replaced_by(self, newer: Job) -> bool:
        """Does it wait, and does a newer job of the same kind and connection make it superfluous?"""
        same_kind = newer.handler.newest_wins and type(self.handler) is type(newer.handler)
        return same_kind and self.connection == newer.connection and not self.running


class JobQueue:
    """All open jobs, in the order in which they wait."""

    def __init__(self, has_drawers: bool = False, previews_apart: Callable[[], bool] = lambda: False) -> None:
        """`has_drawers`: are there threads that draw beside the model's? `previews_apart`: does one draw previews?"""
        self._jobs: list[Job] = []
        self._has_drawers, self._previews_apart = has_drawers, previews_apart
        self._waiting: dict[WorkerKind, dict[Turn, float]] = {worker: {} for worker in WorkerKind}
        """Since when each kind of job has waited for a step."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._jobs))

    def find(self, client: str, name: str) -> Job | None:
        """Return a client's open job of that name."""
        return next((job for job in self._jobs if job.client == client and job.name == name), None)

    def of_connection(self, connection: bytes) -> list[Job]:
        """Return the open jobs that a connection asked for."""
        return [job for job in self._jobs if job.connection == connection]

    def check_room(self, client: str, handler: Handler[Any]) -> None:
        """Raise `EDTalkError(TOO_LARGE)` when a further job would be too much; a file that several name counts once."""
        client_jobs = sum(job.client == client for job in self._jobs)
        handlers = [handler, *(job.handler for job in self._jobs)]
        files = {digest: len(file) for one in handlers for digest, file in one.files.items()}
        held = sum(files.values()) + sum(one.bytes_held for one in handlers)
        if client_jobs >= MAX_JOBS_PER_CLIENT or held > MAX_OPEN_BYTES:
            raise EDTalkError(
                ErrorCode.TOO_LARGE,
                "Too many requests are open at the server.",
                "Wait until some of them have finished.",
            )

    def open(self, job: Job) -> list[Job]:
        """Add a job. Return the waiting jobs that it replaces."""
        replaced = [older for older in self._jobs if older.is_replaced_by(job)]
        self._jobs.append(job)
        return replaced

    def close(self, job: Job) -> bool:
        """End a job. Return True to the first caller only."""
        if not job.open:
            return False
        job.open = False
        self._jobs.remove(job)
        return True

    def next(
        self, worker: WorkerKind, now: float, is_behind: Callable[[bytes], bool] = lambda _: False
    ) -> Job | None:
        """Return the job whose turn it is at that worker: previews, then portraits, then the rest.

        Those of the rest pause whose connection `is_behind` with reading.

        A kind that has waited for `LONGEST_WAIT_S` goes first, once: however many clients scrub, bakes go on.
        """
        first: dict[Turn, Job] = {}
        for job in self._jobs:
            if job.is_ready and self.worker_of(job) is worker and not _must_pause(job, is_behind):
                first.setdefault(job.handler.turn, job)
        since = self._waiting[worker] = {turn: self._waiting[worker].get(turn, now) for turn in first}
        if not first:
            return None
        patient = min(since, key=since.__getitem__)
        turn = patient if now - since[patient] >= LONGEST_WAIT_S else min(first)
        del since[turn]
        return first[turn]

    def worker_of(self, job: Job) -> WorkerKind:
        """Return whose work a job is."""
        kind = job.handler.worker
        if kind is WorkerKind.PREVIEWS and not self._previews_apart():
            kind = WorkerKind.DRAWING
        return WorkerKind.MODEL if kind is WorkerKind.DRAWING and not self._has_drawers else kind

    def requeue(self, job: Job) -> None:
        """Let the other jobs have a turn after a step of a long one."""
        if job.open:
            self._jobs.remove(job)
            self._jobs.append(job)


def _must_pause(job: Job, is_behind: Callable[[bytes], bool]) -> bool:
    return job.handler.turn is Turn.BULK and is_behind(job.connection)


def job_name(message: Message) -> str:
    """Return the name of the job that a message is about; empty when there is none."""
    return str(getattr(message, "job", ""))
