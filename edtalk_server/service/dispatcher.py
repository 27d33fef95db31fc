"""What the server does with each message: the whole behaviour of docs/protocol.md, without sockets or
waiting.

All methods are called by the transport thread. Work goes to the worker a step at a time and comes back
through `finish`; every job that is opened here is closed here, once, with one terminal message.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import shared_protocol
from edtalk_server.media.output_spec import FULL
from shared_protocol import codec, messages
from shared_protocol.codec import Buffer
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Blob, Message

from . import requirements
from .backend import Abandoned, Backend, Source, read_weights, write_weights
from .blobs import BlobStore
from .connections import ClientConnection, ClientConnections
from .images import Encoded, encode, inspected, output_spec_of
from .jobs import Job, JobQueue, JobRequest, job_of
from .memory import memory_in_use
from .parents import Parents
from .streaming_jobs import Advance, ErrandRequest, advance, errand_for
from .throughput import Throughput, next_batch
from .worker import Outcome, Worker

log = logging.getLogger(__name__)

MAX_SOURCES = 32
MAX_SOURCE_BYTES = 1024**3
"""Of all portraits together, but the newest is always kept."""
MAX_JOB_NAME = 200
_OPENING = "opening the model"
_RELEASING = "giving memory back"
_CLEARING = "clearing up"
_LOCAL_ONLY = (messages.Movie, messages.ImportBundle)
_CAPABILITIES = (
    "inspect",
    "prepare",
    "predict",
    "capture",
    "preview",
    "render.png",
    "render.rgba",
    "render.exr",
    "full",
    "alpha",
    "movie",
    "bundles",
    "release",
    "parts",
    "shutdown.alone",
)


class Dispatcher:
    """The server's memory and manners: blobs, sources, jobs, and who asked for what."""

    def __init__(
        self,
        backend: Backend,
        peers: ClientConnections,
        worker: Worker,
        files: Worker,
        parents: Parents,
        now: float,
        release_after: float = 0.0,
    ) -> None:
        """`worker` has the model, `files` does all else. `release_after` seconds without work the accelerator's memory
        is given back (0: never)."""
        self._backend, self._peers, self._worker, self._parents = backend, peers, worker, parents
        self._files = files
        self._release_after = release_after
        self._release_asked = False
        self._released = False
        self._worked = now
        self._blobs = BlobStore()
        self._sources: OrderedDict[str, Source] = OrderedDict()
        self._book = JobQueue()
        self._begun = now
        self._batch = 1
        self._told = ""
        self._warm = False
        self.stop_asked = False
        self.failure: EDTalkError | None = None
        worker.give(_OPENING, backend.open)

    @property
    def state(self) -> str:
        """`warming`, `ready`, `busy` or `stopping`."""
        if self.stop_asked:
            return "stopping"
        if not self._warm:
            return "warming"
        return "busy" if len(self._book) else "ready"

    # --- messages in --------------------------------------------------------------------------------------

    def receive(self, peer: ClientConnection, frames: Sequence[Buffer], now: float) -> None:
        """Take one message. Whatever it holds, the sender gets an answer and nothing else happens."""
        message: Message | None = None
        try:
            message = codec.decode(frames)
            self._take(peer, message, now)
        except EDTalkError as error:
            self._refuse(peer, error, message)

    def _take(self, peer: ClientConnection, message: Message, now: float) -> None:
        if isinstance(message, messages.Hello):
            self._welcome(peer, message)
            return
        if not peer.client:
            raise EDTalkError(ErrorCode.BAD_MESSAGE, "A connection must begin with hello.", "Connect again.")
        match message:
            case messages.Ping():
                self._peers.send(peer, self._pong(message.serial, now))
            case messages.HaveBlobs():
                self._peers.send(peer, messages.BlobsMissing(self._blobs.missing(message.digests)))
            case messages.PutBlob():
                self._blobs.put(message.digest, message.data)
                self._peers.send(peer, messages.BlobStored(message.digest))
            case messages.PutPart(digest):
                whole = peer.assembly.add(digest, message.start, message.size, message.data)
                if whole is not None:
                    self._blobs.keep(digest, whole)
                    self._peers.send(peer, messages.BlobStored(digest))
            case messages.Credit():
                if job := self._book.find(peer.client, message.job):
                    job.allow(message.frames)
            case messages.Cancel():
                self._cancel(peer, message.job)
            case messages.Release():
                self._release_asked = True
            case messages.Shutdown():
                if message.alone:
                    self._check_alone(peer, now)
                log.info("%s asked the server to end", peer.client)
                self.stop_asked = True
            case _ if isinstance(message, JobRequest):
                self._open(peer, message, now)
            case _:
                raise codec.UnsupportedMessageError(type(message).__name__)

    def _check_alone(self, peer: ClientConnection, now: float) -> None:
        """Raises `EDTalkError(SERVER_IN_USE)` when another program than this client's is connected."""
        self._tell_all(now)  # writing to them shows who has vanished
        others = self._peers.programs() - {peer.program}
        if others:
            raise _in_use(others)

    def _welcome(self, peer: ClientConnection, hello: messages.Hello) -> None:
        low = max(hello.protocol_min, messages.PROTOCOL_MIN)
        high = min(hello.protocol_max, messages.PROTOCOL_MAX)
        if low > high:
            older = "server" if hello.protocol_min > messages.PROTOCOL_MAX else "add-on"
            raise EDTalkError(
                ErrorCode.VERSION_MISMATCH,
                f"The add-on (version {hello.version[:20]}) and the server (version {shared_protocol.__version__}) "
                "do not speak the same protocol.",
                f"Update the {older}.",
            )
        peer.client, peer.pid = hello.client[:MAX_JOB_NAME] or peer.identity.hex(), hello.pid
        self._parents.add(hello.pid)
        self._peers.send(
            peer,
            messages.Welcome(
                protocol=high,
                server="edtalk",
                version=shared_protocol.__version__,
                device=self._backend.device,
                bundle=self._backend.description,
                capabilities=_CAPABILITIES,
            ),
        )
        self._peers.send(peer, self._pong(0, time.monotonic()))

    def _refuse(self, peer: ClientConnection, error: EDTalkError, message: Message | None) -> None:
        subject = job_of(message) if message else ""
        if isinstance(message, messages.PutBlob | messages.PutPart):
            subject = message.digest
        log.info("refused %s: %s", type(message).__name__ if message else "a message", error.cause)
        self._peers.send(peer, messages.Refused(error.code, error.cause, error.fix, subject[:MAX_JOB_NAME]))

    def _pong(self, serial: int, now: float) -> messages.Pong:
        job = next((job for job in self._book if job.running), None)
        activity = type(job.request).__name__.lower() if job else "" if self._warm else _OPENING
        words = ", ".join(part for part in (activity, self._backend.notice) if part)
        age, device_memory = now - self._begun, self._backend.device_memory()
        users = len(self._peers.programs())
        return messages.Pong(
            serial, self.state, words, len(self._book), memory_in_use(), age, *device_memory, users
        )

    # --- jobs in ------------------------------------------------------------------------------------------

    def _open(self, peer: ClientConnection, request: JobRequest, now: float) -> None:
        if not request.job or len(request.job) > MAX_JOB_NAME or self._book.find(peer.client, request.job):
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                "A request needs a name that no open request of the same client has.",
                "Report this error of the add-on.",
            )
        try:
            if self.stop_asked:
                raise EDTalkError(ErrorCode.NOT_READY, "The server is stopping.", "Start it again.")
            job = self._job(peer, request, now)
            self._book.check_room(peer.client, job.bytes_held)
        except EDTalkError as error:
            self._peers.send(peer, _failed(request.job, error))
            return
        for older in self._book.open(job):
            self._end(older, messages.Cancelled(older.name, "superseded"))

    def _job(self, peer: ClientConnection, request: JobRequest, now: float) -> Job:
        """The job of a request, with all that it names looked up and checked."""
        if isinstance(request, _LOCAL_ONLY) and not peer.pid:
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                "The server writes and reads files only for programs on its own machine.",
                "Do this on the machine where the server runs.",
            )
        job = Job(peer.identity, peer.client, request, None, Throughput(1, now))
        match request:
            case messages.Inspect() | messages.Prepare():
                job.material = self._blobs.get(request.portrait)
            case messages.Predict():
                requirements.check_timing(request)
                requirements.check_liveliness(request)
                job.material, job.attachment = self._source(request.source), self._blobs.get(request.voice)
            case messages.Capture():
                requirements.check_timing(request)
                job.material, job.attachment = self._source(request.source), self._blobs.get(request.video)
            case messages.Movie():
                requirements.check_rate(request)
                requirements.check_count(request.last - request.first + 1, request.sound_offset)
            case messages.Preview():
                job.material, job.look = self._source(request.source), output_spec_of(request)
                job.weights = read_weights(request.weights, 1, self._backend.channels)
            case messages.Render():
                requirements.check_range(request)
                job.look = output_spec_of(request)
                job.material, job.pace = self._source(request.source), Throughput(len(request.frames), now)
                job.weights = read_weights(request.weights, len(request.frames), self._backend.channels)
                job.allow(request.credit)
        if isinstance(request, ErrandRequest):
            job.errand = errand_for(request, self._backend, job.material, job.attachment)
        return job

    def _source(self, key: str) -> Source:
        if key not in self._sources:
            raise EDTalkError(
                ErrorCode.UNKNOWN_SOURCE,
                "The server does not hold this portrait (any more).",
                "Prepare it again.",
            )
        self._sources.move_to_end(key)
        return self._sources[key]

    def _cancel(self, peer: ClientConnection, name: str) -> None:
        job = self._book.find(peer.client, name)
        if job is None:
            raise EDTalkError(
                ErrorCode.UNKNOWN_JOB, "This request has already ended.", "Nothing has to be done."
            )
        self._end(job, messages.Cancelled(name, "asked"))

    # --- work out and back --------------------------------------------------------------------------------

    def feed(self, now: float) -> None:
        """Give each worker, if it is idle, the step whose turn it is."""
        if self.stop_asked:
            return
        for worker, model in ((self._worker, True), (self._files, False)):
            if worker.is_idle and (job := self._book.next(model=model)):
                job.running = True
                worker.give(job, self._step(job))
        if self._should_release(now):
            self._release_asked, self._released = False, True
            self._worker.give(_RELEASING, self._backend.release)

    def _should_release(self, now: float) -> bool:
        """Was it asked for, or did nobody need the model for long? Never while a job needs it."""
        if not self._worker.is_idle or any(job.needs_model for job in self._book):
            return False
        unused = 0 < self._release_after < now - self._worked and not self._released
        return self._release_asked or (unused and self._backend.device_memory()[0] > 0)

    def _step(self, job: Job) -> Callable[[], object]:
        backend, request = self._backend, job.request
        if job.errand is not None:
            return partial(advance, job.errand, lambda: job.open)
        match request:
            case messages.Inspect() | messages.Prepare():
                crop = request.crop if request.crop.side > 0 else None
                work = backend.inspect if isinstance(request, messages.Inspect) else backend.prepare
                return lambda: work(bytes(job.material), crop)
            case messages.Predict():
                return lambda: backend.predict(
                    job.material, bytes(job.attachment), request, partial(_checkpoint, job)
                )
            case messages.Preview():
                return lambda: encode(backend.render(job.material, job.weights, job.look)[0], "rgba")
            case messages.Render():
                return self._render_step(job, request.encoding)
            case _:
                raise TypeError(f"{type(request).__name__} is no work for the model")

    def _render_step(self, job: Job, encoding: str) -> Callable[[], list[Encoded]]:
        batch = 1 if job.look.framing == FULL else self._batch  # large pictures take their time one by one
        rows = job.weights[job.next_row : job.next_row + min(batch, job.credit)]
        job.next_row += len(rows)
        job.credit -= len(rows)
        return lambda: [
            encode(frame, encoding) for frame in self._backend.render(job.material, rows, job.look)
        ]

    def finish(self, outcome: Outcome, now: float) -> None:
        """Take what the worker has done."""
        job = outcome.ticket
        if not isinstance(job, Job):
            self._finish_housework(job, outcome, now)
            return
        job.running = False
        if job.needs_model:
            self._worked, self._released = now, False
        if isinstance(job.request, messages.Prepare) and outcome.error is None:
            self._keep_source(outcome.value)
        if not job.open or outcome.abandoned:
            return
        if outcome.error is not None:
            self._end(job, _failed(job.name, outcome.error))
            return
        try:
            self._deliver(job, outcome, now)
        except codec.CodecError as error:  # a result beyond the wire's limits must not end the server
            log.error("a result of %s cannot be sent: %s", job.name, error.cause)
            self._end(job, _failed(job.name, error))

    def _finish_housework(self, ticket: str, outcome: Outcome, now: float) -> None:
        if ticket == _OPENING:
            self._warm, self.failure, self._worked = outcome.error is None, outcome.error, now
        if ticket == _RELEASING:
            self._tell_all(now)

    def _clear_up(self, job: Job) -> None:
        """Close the steps of a job that has ended, on the worker that takes them."""
        if job.errand is not None:
            worker = self._worker if job.needs_model else self._files
            worker.give(_CLEARING, job.errand.close)

    def _keep_source(self, source: Source) -> None:
        self._sources[source.key] = source
        self._sources.move_to_end(source.key)
        held = sum(one.nbytes for one in self._sources.values())
        while len(self._sources) > MAX_SOURCES or (held > MAX_SOURCE_BYTES and len(self._sources) > 1):
            held -= self._sources.popitem(last=False)[1].nbytes

    def _deliver(self, job: Job, outcome: Outcome, now: float) -> None:
        if isinstance(job.request, messages.Render):
            self._deliver_frames(job, job.request, outcome, now)
            return
        if isinstance(outcome.value, Advance):
            self._go_on(job, outcome.value, now)
            return
        self._answer(job, self._result(job, outcome.value))
        self._end(job, messages.Done(job.name))

    def _go_on(self, job: Job, news: Advance, now: float) -> None:
        """After some steps of an errand: say how far it is, and end it when it has ended."""
        if step := news.step:
            pace = job.pace
            pace.total = step.total
            pace.advance(step.done - pace.done, now)
            self._answer(
                job, messages.Progress(job.name, step.done, step.total, pace.rate, pace.eta, step.stage)
            )
        if not news.has_ended:
            self._book.requeue(job)
            return
        if news.result is not None:
            self._answer(job, news.result)
        self._end(job, messages.Done(job.name))

    def _result(self, job: Job, value: Any) -> Message:
        if isinstance(job.request, messages.Inspect):
            return inspected(job.name, value)
        if isinstance(job.request, messages.Preview):
            return messages.PreviewFrame(job.name, value.width, value.height, Blob(value.data))
        if isinstance(job.request, messages.Predict):
            rows, channels = value.shape
            return messages.Performance(job.name, rows, channels, Blob(write_weights(value)))
        size, (full_width, full_height) = self._backend.size, value.full_size
        return messages.Prepared(
            job.name,
            value.key,
            value.crop,
            size,
            size,
            tuple(value.notes),
            Blob(write_weights(value.weights)),
            full_width,
            full_height,
            value.verdict,
        )

    def _deliver_frames(self, job: Job, request: messages.Render, outcome: Outcome, now: float) -> None:
        self._batch = next_batch(len(outcome.value), outcome.seconds, self._backend.largest_batch)
        pace = job.pace
        for number, one in zip(request.frames[pace.done :], outcome.value, strict=False):
            self._answer(job, messages.Frame(job.name, number, one.width, one.height, Blob(one.data)))
        pace.advance(len(outcome.value), now)
        stage = ", ".join(part for part in ("rendering", self._backend.notice) if part)
        self._answer(job, messages.Progress(job.name, pace.done, pace.total, pace.rate, pace.eta, stage))
        if pace.done == pace.total:
            self._end(job, messages.Done(job.name))
        else:
            self._book.requeue(job)

    # --- ends ---------------------------------------------------------------------------------------------

    def _answer(self, job: Job, message: Message) -> None:
        if peer := self._peers.get(job.connection):
            self._peers.send(peer, message)

    def _end(self, job: Job, terminal: Message) -> None:
        if self._book.close(job):
            self._answer(job, terminal)
            self._clear_up(job)

    def forget_gone(self) -> None:
        """End the jobs of connections that have vanished: nobody is there to be told."""
        for peer in self._peers.take_gone():
            for job in self._book.of_connection(peer.identity):
                self._book.close(job)
                self._clear_up(job)

    def tell_state(self, now: float) -> None:
        """Tell all clients when the state has changed."""
        if self.state != self._told:
            self._told = self.state
            self._tell_all(now)

    def _tell_all(self, now: float) -> None:
        for peer in self._peers:
            if peer.client:
                self._peers.send(peer, self._pong(0, now))

    def probe(self, now: float) -> None:
        """Find out whether silent clients are still there."""
        self._peers.probe_silent(now, self._pong(0, now))

    def cancel_all(self) -> None:
        """End every open job because the server ends."""
        for job in self._book:
            self._end(job, messages.Cancelled(job.name, "stopping"))


def _in_use(others: set[str]) -> EDTalkError:
    names = ", ".join(sorted(others))
    return EDTalkError(
        ErrorCode.SERVER_IN_USE,
        f"Other programs use this server: {names}.",
        "Close them, or press Stop in their EDTalk panel, and try again.",
    )


def _failed(job: str, error: EDTalkError) -> messages.Failed:
    return messages.Failed(job, error.code, error.cause, error.fix)


def _checkpoint(job: Job) -> None:
    if not job.open:
        raise Abandoned
