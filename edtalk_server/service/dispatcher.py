"""What the server does with each message: the whole behaviour of docs/protocol.md, without sockets or waiting.

The transport thread calls all methods. Work goes to the workers a step at a time and comes back through `finish`.
What a request needs and how it is answered is its handler's (`handlers`); here are the rules that hold for all:
every job that is opened is closed once, with one terminal message.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial

import shared_protocol
from shared_protocol import codec, messages
from shared_protocol.codec import Buffer
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Message

from .backend import Backend
from .blobs import BlobStore
from .connections import ClientConnection, ClientConnections
from .drawing import Drawing, OwnDrawing
from .handlers import HANDLERS, Answer, Handler, Resources, WorkerKind
from .handlers.throughput import BatchSize
from .jobs import Job, JobQueue, job_name
from .limits import MAX_JOB_NAME
from .memory import MemoryRelease, memory_in_use
from .parents import Parents
from .sources import SourceCache
from .worker import Outcome, Worker, explain

log = logging.getLogger(__name__)

_LOADING = "loading the model"
_CAPABILITIES = ("release", "parts", "shutdown.alone")
"""What the server can do beside its handlers' capabilities."""


class _Chore(StrEnum):
    """Work for a worker that belongs to no job."""

    LOAD = "load"
    RELEASE = "release"
    CLEAN_UP = "clean up"


class Dispatcher:
    """Routes messages to blobs, jobs and workers, and answers to the clients that asked."""

    def __init__(
        self,
        backend: Backend,
        connections: ClientConnections,
        workers: Mapping[WorkerKind, Sequence[Worker]],
        parents: Parents,
        now: float,
        release_after: float = 0.0,
        drawing: Drawing | None = None,
    ) -> None:
        """`release_after`: seconds without work after which the accelerator's memory is given back (0: never)."""
        self._backend, self._connections, self._workers, self._parents = (
            backend,
            connections,
            workers,
            parents,
        )
        self._blobs = BlobStore()
        self._drawing = drawing or OwnDrawing(backend)
        self._jobs = JobQueue(self._drawing.workers > 0, lambda: self._drawing.previews_apart)
        self._resources = Resources(backend, self._blobs, SourceCache(), BatchSize(), self._drawing)
        self._release = MemoryRelease(release_after, now)
        self._started = now
        self._announced_state = ""
        self._loading = 1 + self._drawing.workers
        """How many models are not open yet."""
        self.stop_requested = False
        self.failure: EDTalkError | None = None
        workers[WorkerKind.MODEL][0].submit(_Chore.LOAD, backend.open)
        for drawer in workers[WorkerKind.DRAWING]:
            drawer.submit(_Chore.LOAD, self._drawing.open)

    @property
    def state(self) -> str:
        """`warming`, `ready`, `busy` or `stopping`."""
        if self.stop_requested:
            return "stopping"
        if self._loading:
            return "warming"
        return "busy" if len(self._jobs) else "ready"

    # --- messages in ---

    def receive(self, connection: ClientConnection, frames: Sequence[Buffer], now: float) -> None:
        """Take one message. Whatever it holds, only its sender gets an answer."""
        message: Message | None = None
        try:
            message = codec.decode(frames)
            self._take(connection, message, now)
        except EDTalkError as error:
            self._refuse(connection, error, message)
        except Exception as error:
            log.exception("a message could not be taken")
            self._refuse(connection, explain(error), message)

    def _take(self, connection: ClientConnection, message: Message, now: float) -> None:
        if isinstance(message, messages.Hello):
            self._welcome(connection, message)
            return
        if not connection.client:
            raise EDTalkError(ErrorCode.BAD_MESSAGE, "A connection must begin with hello.", "Connect again.")
        if handler := HANDLERS.get(type(message)):
            self._open(connection, message, handler, now)
            return
        match message:
            case messages.Ping():
                self._connections.send(connection, self._pong(message.serial, now))
            case messages.HaveBlobs():
                missing = self._blobs.missing(message.digests)
                self._connections.send(connection, messages.BlobsMissing(missing))
            case messages.PutBlob():
                self._blobs.put(message.digest, message.data)
                self._connections.send(connection, messages.BlobStored(message.digest))
            case messages.PutPart():
                self._put_part(connection, message)
            case messages.Credit():
                if job := self._jobs.find(connection.client, message.job):
                    job.handler.add_credit(message.frames)
            case messages.Cancel():
                self._cancel(connection, message.job)
            case messages.Release():
                self._release.is_requested = True
            case messages.Shutdown():
                self._shut_down(connection, message, now)
            case _:
                raise codec.UnsupportedMessageError(type(message).__name__)

    def _put_part(self, connection: ClientConnection, part: messages.PutPart) -> None:
        self._connections.make_room(connection, len(part.data))
        blob = connection.assembly.add(part.digest, part.start, part.size, part.data)
        if blob is not None:
            self._blobs.put_checked(part.digest, blob)
            self._connections.send(connection, messages.BlobStored(part.digest))

    def _shut_down(self, connection: ClientConnection, message: messages.Shutdown, now: float) -> None:
        if message.alone:
            self._check_alone(connection, now)
        log.info("%s asked the server to end", connection.client)
        self.stop_requested = True

    def _check_alone(self, connection: ClientConnection, now: float) -> None:
        """Raise `EDTalkError(SERVER_IN_USE)` when another program than this client's is connected."""
        self._broadcast_status(now)  # writing to them reveals who has vanished
        others = self._connections.programs() - {connection.program}
        if others:
            raise _in_use(others)

    def _welcome(self, connection: ClientConnection, hello: messages.Hello) -> None:
        protocol = _common_protocol(hello)
        connection.client = hello.client[:MAX_JOB_NAME] or connection.identity.hex()
        connection.pid = hello.pid if connection.is_here else 0
        self._parents.add(connection.pid)
        self._connections.send(
            connection,
            messages.Welcome(
                protocol=protocol,
                server="edtalk",
                version=shared_protocol.__version__,
                device=self._backend.device,
                bundle=self._backend.description,
                capabilities=capabilities(),
            ),
        )
        self._connections.send(connection, self._pong(0, time.monotonic()))

    def _refuse(self, connection: ClientConnection, error: EDTalkError, message: Message | None) -> None:
        subject = job_name(message) if message else ""
        if isinstance(message, messages.PutBlob | messages.PutPart):
            subject = message.digest
        log.info("refused %s: %s", type(message).__name__ if message else "a message", error.cause)
        refused = messages.Refused(error.code, error.cause, error.fix, subject[:MAX_JOB_NAME])
        self._connections.send(connection, refused)

    # --- jobs in ---

    def _open(
        self, connection: ClientConnection, request: Message, handler: type[Handler[Message]], now: float
    ) -> None:
        name = job_name(request)
        if not name or len(name) > MAX_JOB_NAME or self._jobs.find(connection.client, name):
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                "A request needs a name that is not in use.",
                "Report this as an error in the add-on.",
            )
        try:
            self._check_allowed(connection, handler)
            job = Job(connection.identity, connection.client, handler(request, self._resources, now))
            self._jobs.check_room(connection.client, job.handler)
        except Exception as error:
            if not isinstance(error, EDTalkError):
                log.exception("a request of %s could not be taken", connection.client)
            self._connections.send(connection, _failed(name, explain(error)))
            return
        for replaced in self._jobs.open(job):
            self._end(replaced, messages.Cancelled(replaced.name, "superseded"))

    def _check_allowed(self, connection: ClientConnection, handler: type[Handler[Message]]) -> None:
        if self.stop_requested:
            raise EDTalkError(ErrorCode.NOT_READY, "The server is stopping.", "Start it again.")
        if handler.is_local_only and not connection.pid:
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                "The server writes and reads files only for programs on its own machine.",
                "Do this on the machine where the server runs.",
            )

    def _cancel(self, connection: ClientConnection, name: str) -> None:
        job = self._jobs.find(connection.client, name)
        if job is None:
            raise EDTalkError(
                ErrorCode.UNKNOWN_JOB, "This request has already ended.", "You do not need to do anything."
            )
        self._end(job, messages.Cancelled(name, "asked"))

    # --- work out and back ---

    def feed(self, now: float) -> None:
        """Give each idle worker the step whose turn it is."""
        if self.stop_requested:
            return
        for kind, worker in [(kind, worker) for kind, some in self._workers.items() for worker in some]:
            if worker.is_idle and (job := self._jobs.next(kind, now, self._connections.is_behind)):
                job.steps += 1
                self._submit(job, worker)
        if self._may_release() and self._release.is_due(self._backend, now):
            self._release.note_release()
            self._workers[WorkerKind.MODEL][0].submit(_Chore.RELEASE, self._backend.release)

    def _submit(self, job: Job, worker: Worker) -> None:
        """Start a job's next step. A job that cannot even say what that is has failed, and no other."""
        try:
            step = job.handler.next_step(partial(_is_open, job))
        except Exception as error:
            log.exception("a step of %s could not begin", job.name)
            job.steps -= 1
            self._end(job, _failed(job.name, explain(error)))
            return
        worker.submit(job, step)
        if job.handler.is_parallel:
            self._jobs.requeue(job)  # the next idle worker looks at the others first

    def _may_release(self) -> bool:
        """Memory stays while a job needs the model."""
        users = (self._workers[kind][0] for kind in (WorkerKind.MODEL, WorkerKind.PREVIEWS))
        return all(user.is_idle for user in users) and not any(job.needs_model for job in self._jobs)

    def finish(self, outcome: Outcome, now: float) -> None:
        """Take the end of a worker's step."""
        job = outcome.ticket
        if not isinstance(job, Job):
            self._finish_chore(job, outcome, now)
            return
        job.steps -= 1
        if job.needs_model:
            self._release.note_work(now)
        if outcome.error is None and not outcome.cancelled:
            job.handler.store(outcome.value)
        if not job.open or outcome.cancelled:
            return
        if outcome.error is not None:
            self._end(job, _failed(job.name, outcome.error))
            return
        try:
            self._deliver(job, job.handler.answer(outcome.value, outcome.seconds, now))
        except (
            Exception
        ) as error:  # one job's trouble, such as a result beyond the wire's limits, ends that job alone
            log.exception("a result of %s cannot be sent", job.name)
            self._end(job, _failed(job.name, explain(error)))

    def _finish_chore(self, chore: _Chore, outcome: Outcome, now: float) -> None:
        if chore is _Chore.LOAD:
            self._loading -= outcome.error is None
            self.failure = self.failure or outcome.error
            self._release.note_work(now)
        if chore is _Chore.RELEASE:
            self._broadcast_status(now)

    def _deliver(self, job: Job, answer: Answer) -> None:
        for message in answer.messages:
            self._send(job, message)
        if answer.has_ended:
            self._end(job, messages.Done(job.name))
        else:
            self._jobs.requeue(job)

    # --- ends ---

    def _send(self, job: Job, message: Message) -> None:
        if connection := self._connections.get(job.connection):
            self._connections.send(connection, message)

    def _end(self, job: Job, terminal: Message) -> None:
        if self._jobs.close(job):
            self._send(job, terminal)
            self._clean_up(job)

    def _clean_up(self, job: Job) -> None:
        """Undo a half-done job, on the worker that does its steps."""
        if work := job.handler.clean_up():
            self._workers[self._jobs.worker_of(job)][0].submit(_Chore.CLEAN_UP, work)

    def forget_gone(self) -> None:
        """End the jobs of connections that have vanished; nobody is left to tell."""
        for connection in self._connections.take_gone():
            for job in self._jobs.of_connection(connection.identity):
                self._jobs.close(job)
                self._clean_up(job)

    def cancel_all(self) -> None:
        """End every open job because the server ends."""
        for job in self._jobs:
            self._end(job, messages.Cancelled(job.name, "stopping"))

    # --- status ---

    def _pong(self, serial: int, now: float) -> messages.Pong:
        activity = ", ".join(part for part in (self._activity(), self._backend.notice) if part)
        device_memory, device_capacity = self._backend.device_memory()
        return messages.Pong(
            serial,
            self.state,
            activity,
            len(self._jobs),
            memory_in_use() + self._drawing.memory(),
            now - self._started,
            device_memory,
            device_capacity,
            len(self._connections.programs()),
            max(1, self._drawing.workers),
        )

    def _activity(self) -> str:
        job = next((job for job in self._jobs if job.running), None)
        if job:
            return type(job.handler.request).__name__.lower()
        return _LOADING if self._loading else ""

    def announce_state(self, now: float) -> None:
        """Tell all clients when the state has changed."""
        if self.state != self._announced_state:
            self._announced_state = self.state
            self._broadcast_status(now)

    def _broadcast_status(self, now: float) -> None:
        for connection in self._connections:
            if connection.client:
                self._connections.send(connection, self._pong(0, now))

    def tell_news(self, now: float) -> None:
        """Tell how far the running steps are that say so."""
        for job in self._jobs:
            if job.running:
                for message in job.handler.news(now):
                    self._send(job, message)

    def probe(self, now: float) -> None:
        """Find out whether silent clients are still there."""
        self._connections.probe_silent(now, self._pong(0, now))


def capabilities() -> tuple[str, ...]:
    """Return what `Welcome` says that this server can do."""
    handled = (word for handler in HANDLERS.values() for word in handler.capabilities)
    return tuple(dict.fromkeys((*handled, *_CAPABILITIES)))


def _common_protocol(hello: messages.Hello) -> int:
    """Return the newest protocol that both sides speak. Raises `EDTalkError(VERSION_MISMATCH)`."""
    lowest = max(hello.protocol_min, messages.PROTOCOL_MIN)
    highest = min(hello.protocol_max, messages.PROTOCOL_MAX)
    if lowest > highest:
        older = "server" if hello.protocol_min > messages.PROTOCOL_MAX else "add-on"
        raise EDTalkError(
            ErrorCode.VERSION_MISMATCH,
            f"The add-on (version {hello.version[:20]}) and the server (version {shared_protocol.__version__}) "
            "do not speak the same protocol.",
            f"Update the {older}.",
        )
    return highest


def _in_use(others: set[str]) -> EDTalkError:
    names = ", ".join(sorted(others))
    return EDTalkError(
        ErrorCode.SERVER_IN_USE,
        f"Other programs use this server: {names}.",
        "Close them, or press Stop in their EDTalk panel, and try again.",
    )


def _failed(job: str, error: EDTalkError) -> messages.Failed:
    return messages.Failed(job, error.code, error.cause, error.fix)


def _is_open(job: Job) -> bool:
    return job.open
