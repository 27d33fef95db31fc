"""The open jobs of all clients, and whose turn it is. Pure bookkeeping, owned by the transport thread.

A job is open from its request to its one terminal message. Only `JobQueue.close` ends a job, and only once:
whoever gets True from it sends the terminal message. Results of a job that is no longer open are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edtalk_server.media.output_spec import DEFAULT_OUTPUT, OutputSpec
from edtalk_server.media.steps import Steps
from shared_protocol.codec import Buffer
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import (
    Capture,
    DownloadBundle,
    ImportBundle,
    Inspect,
    ListBundles,
    Message,
    Movie,
    Predict,
    Prepare,
    Preview,
    Render,
)

from .throughput import Throughput

MAX_JOBS_PER_CLIENT = 64
MAX_OPEN_BYTES = 512 * 1024 * 1024
MAX_CREDIT = 64

JobRequest = (
    Inspect
    | Prepare
    | Predict
    | Capture
    | Preview
    | Render
    | Movie
    | ListBundles
    | ImportBundle
    | DownloadBundle
)
FILE_REQUESTS = (Movie, ListBundles, ImportBundle, DownloadBundle)
"""Jobs that need no model; they have a worker of their own."""
_TURN = {Preview: 0, Inspect: 1, Prepare: 1, Predict: 2}
_LAST_TURN = 3
"""Renders, captures and jobs with files: they take turns."""


@dataclass(eq=False)
class Job:
    """One request on its way. `material` is what the request's names stood for when it came (a blob, a
    source), `attachment` the voice or video beside a source, `next_row` the first frame of a render that was not
    handed to the worker, `credit` the frames it may still send, `errand` the steps of a job that is done in steps,
    `look` how pictures are wanted."""

    connection: bytes
    client: str
    request: JobRequest
    material: Any
    pace: Throughput
    attachment: Buffer = b""
    errand: Steps[Message | None] | None = None
    weights: Any = None
    look: OutputSpec = DEFAULT_OUTPUT
    credit: int = 0
    next_row: int = 0
    running: bool = False
    open: bool = True

    @property
    def name(self) -> str:
        """The client's name for the job."""
        return self.request.job

    @property
    def needs_model(self) -> bool:
        """Is it for the model's worker?"""
        return not isinstance(self.request, FILE_REQUESTS)

    @property
    def bytes_held(self) -> int:
        """Memory that the request itself keeps."""
        return len(self.attachment) + (0 if self.weights is None else int(self.weights.nbytes))

    @property
    def is_ready(self) -> bool:
        """Can the worker do something for it now?"""
        if self.running:
            return False
        return not isinstance(self.request, Render) or (
            self.credit > 0 and self.next_row < len(self.request.frames)
        )

    def allow(self, frames: int) -> None:
        """More credit, within the limit that keeps memory bounded."""
        self.credit = min(MAX_CREDIT, self.credit + max(0, frames))


class JobQueue:
    """All open jobs, in the order in which they wait."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._jobs))

    def find(self, client: str, name: str) -> Job | None:
        """A client's open job of that name."""
        return next((job for job in self._jobs if job.client == client and job.name == name), None)

    def of_connection(self, connection: bytes) -> list[Job]:
        """The open jobs that a connection asked for."""
        return [job for job in self._jobs if job.connection == connection]

    def check_room(self, client: str, size: int) -> None:
        """Raises `EDTalkError(TOO_LARGE)` when a further job of `size` bytes would be too much."""
        mine = sum(job.client == client for job in self._jobs)
        if mine >= MAX_JOBS_PER_CLIENT or size + sum(job.bytes_held for job in self._jobs) > MAX_OPEN_BYTES:
            raise EDTalkError(
                ErrorCode.TOO_LARGE,
                "Too many requests are open at the server.",
                "Wait until some of them have ended.",
            )

    def open(self, job: Job) -> list[Job]:
        """Take a job; the answer is the previews that it makes superfluous (not started, of the same
        connection)."""
        older: list[Job] = []
        if isinstance(job.request, Preview):
            older = [
                o
                for o in self.of_connection(job.connection)
                if isinstance(o.request, Preview) and not o.running
            ]
        self._jobs.append(job)
        return older

    def close(self, job: Job) -> bool:
        """End a job; True for the first caller only."""
        if not job.open:
            return False
        job.open = False
        self._jobs.remove(job)
        return True

    def next(self, *, model: bool) -> Job | None:
        """Whose turn it is, of the jobs that need the model or of the others: previews, then portraits, then voices,
        then the rest, which take turns."""
        ready = [job for job in self._jobs if job.is_ready and job.needs_model == model]
        return min(ready, key=lambda job: _TURN.get(type(job.request), _LAST_TURN), default=None)

    def requeue(self, job: Job) -> None:
        """After a step of a long job the others are next."""
        if job.open:
            self._jobs.remove(job)
            self._jobs.append(job)


def job_of(message: Message) -> str:
    """The job a message is about, empty when none."""
    return str(getattr(message, "job", ""))
