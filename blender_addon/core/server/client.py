# SPDX-License-Identifier: GPL-3.0-or-later
"""The client: requests in, bounded events out, `tick()`. No bpy and no threads here.

Nothing else may touch the transport. A request returns a job's name at once; what comes of it is told by
`tick`, and every job ends in exactly one `Done`, `Failed` or `Cancelled`, whatever happens to the server.
There are two lanes, so that previews never queue behind the frames of a bake. A client belongs to the thread
that made it.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import zmq

import shared_protocol
from shared_protocol import codec, messages
from shared_protocol.connection import Connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Blob, Message

from .channel import Lane
from .events import TERMINAL, Event, JobEvent, Kept, Lost, Ready, StateChanged, failed, is_job_event
from .heartbeat import Heartbeat
from .requests import NO_FILES, Requests, packed
from .uploads import PART_BYTES, Content

log = logging.getLogger(__name__)

DEFAULT_BUDGET_S = 0.004
_POLL_MS = 50
_SECOND_LANE_S = 0.5


@dataclass(eq=False)
class _Operation:
    """A job as the client sees it. `blobs` are the files that its request names, by digest."""

    request: Any
    lane: Lane
    blobs: Mapping[str, Content] = field(default_factory=dict)
    sent: bool = False
    sent_again: bool = False


class Client(Requests):
    """A connection to a running server. `clock` counts seconds."""

    def __init__(
        self, connection: Connection, name: str = "client", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._interactive, self._bulk = Lane(self._context, connection), Lane(self._context, connection)
        self._operations: dict[str, _Operation] = {}
        self._wishes: dict[str, _Operation] = {}
        self._preview_in_flight = ""
        self._outbox: deque[Event] = deque()
        self._owed = Counter[str]()
        self._numbers = itertools.count(1)
        self._heartbeat = Heartbeat(clock())
        self._closed = False
        self.is_bulk_held = False
        """While it is true, nothing that comes on the lane of long jobs is taken, so the server runs out of credit."""
        self._broken_since: float | None = None
        self.state = "connecting"
        self.health = messages.Pong()
        self.welcome: messages.Welcome | None = None
        self.error: EDTalkError | None = None
        hello = messages.Hello(
            client=f"{name}-{uuid.uuid4().hex}", version=shared_protocol.__version__, pid=os.getpid()
        )
        for lane in self._lanes:
            lane.send(hello)

    @property
    def is_lost(self) -> bool:
        """Has the connection ended? A lost client fails every request; make a new one."""
        return self.error is not None

    @property
    def open_jobs(self) -> tuple[str, ...]:
        """The jobs that have not ended."""
        return tuple(self._operations)

    # --- requests (the rest: see `Requests`) ---------------------------------------------------------------

    def preview(self, source: str, weights: npt.ArrayLike, slot: str = "", framing: str = "face") -> str:
        """One frame of weights [channels], newest wins. Tells `PreviewFrame`.

        One preview is under way at a time; of the wishes that wait, only the newest of each `slot` (a
        character, say) is kept, the older ones end as `Cancelled` with reason `superseded`.
        """
        request = messages.Preview(self._name("preview"), source, packed(weights), framing)
        operation = _Operation(request, self._interactive)
        self._operations[request.job] = operation
        if older := self._wishes.pop(slot, None):
            self._end(messages.Cancelled(older.request.job, "superseded"))
        self._wishes[slot] = operation
        self._send_next_wish()
        return request.job

    def cancel(self, job: str) -> None:
        """End a job; it tells `Cancelled` (unless it has just ended otherwise)."""
        operation = self._operations.get(job)
        if operation is None:
            return
        if operation.sent:
            self._send(
                operation.lane, messages.Cancel(job)
            )  # its own lane: never ahead of the request itself
            return
        self._wishes = {slot: wish for slot, wish in self._wishes.items() if wish is not operation}
        self._end(messages.Cancelled(job, "asked"))

    def release(self) -> None:
        """Ask the server to give the accelerator's memory back. Its next `Pong` tells what it holds then."""
        self._send(self._interactive, messages.Release())

    def shutdown(self, alone: bool = False) -> None:
        """Ask the server to end; with `alone` only if nobody else uses it, else it tells `Kept`. (Look for the
        capability `shutdown.alone` first: older servers end in any case.)"""
        self._send(self._interactive, messages.Shutdown(alone))

    # --- events -------------------------------------------------------------------------------------------

    def tick(self, budget_s: float = DEFAULT_BUDGET_S) -> list[Event]:
        """What has happened since the last call; takes at most about `budget_s` and never waits."""
        self._take_in(budget_s)
        events = list(self._outbox)
        self._outbox.clear()
        return self._hand_out(events)

    def events(self, job: str, timeout: float | None = None) -> Iterator[JobEvent]:
        """The events of one job as they come, the terminal one last. Waits, for scripts and background mode.

        When nothing is told for `timeout` seconds, the job is cancelled and ends as `Failed(TIMEOUT)`. What
        happens to other jobs meanwhile is told by the next `tick`.
        """
        heard = self._clock()
        while True:
            mine = self._take_events_of(job)
            for event in mine:
                yield event
                if isinstance(event, TERMINAL):
                    return
            if mine:
                heard = self._clock()
            elif job not in self._operations:
                return
            elif timeout is not None and self._clock() - heard > timeout:
                self._give_up(job, timeout)
            else:
                self._pump()

    def wait(self, job: str, timeout: float | None = None) -> list[JobEvent]:
        """All events of a job, the terminal one last (see `events`)."""
        return list(self.events(job, timeout))

    def wait_until_ready(self, timeout: float) -> messages.Welcome:
        """Wait for the server's welcome. Raises the `EDTalkError` of a connection that fails or stays silent."""
        end = self._clock() + timeout
        while self.welcome is None and not self.is_lost and self._clock() < end:
            self._pump()
        if self.welcome is None:
            raise self.error or _unreachable("The server does not answer.")
        return self.welcome

    def lose(self, cause: str) -> None:
        """Treat the connection as ended, because the owner knows better (the server's process is gone)."""
        self._lose(_unreachable(cause))

    def close(self) -> list[Event]:
        """Drop the connection; the server ends the jobs. Returns the last events: every open job is
        `Cancelled`."""
        for job in self.open_jobs:
            self._end(messages.Cancelled(job, "stopping"))
        if not self._closed:
            self._closed = True
            for lane in self._lanes:
                lane.close()
            self._context.term()
        self.error = self.error or _unreachable("The connection was closed.")
        last = list(self._outbox)
        self._outbox.clear()
        return last

    # --- inside: operations -------------------------------------------------------------------------------

    @property
    def _lanes(self) -> tuple[Lane, Lane]:
        return self._interactive, self._bulk

    def _name(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"

    def _request(self, request: Any, files: Mapping[str, Content] = NO_FILES, *, urgent: bool = False) -> str:
        return self._begin(_Operation(request, self._interactive if urgent else self._bulk, files))

    def _begin(self, operation: _Operation) -> str:
        self._operations[operation.request.job] = operation
        if operation.blobs:
            operation.lane.waiting_for_blobs.append(operation)
            self._send(operation.lane, messages.HaveBlobs(tuple(operation.blobs)))
        else:
            self._send_request(operation)
        return str(operation.request.job)

    def _send_request(self, operation: _Operation) -> None:
        """Hand the request to the server; one that cannot be sent ends here."""
        if self.is_lost:
            return self._fail(operation.request.job)
        try:
            operation.lane.send(operation.request)
            operation.sent = True
        except codec.CodecError as error:
            self._end(failed(operation.request.job, error))

    def _send(self, lane: Lane, message: Message) -> None:
        """Send what is no job; a lost connection has ended all jobs or does so in the next `tick`."""
        if not self.is_lost:
            lane.send(message)
        else:
            for job in self.open_jobs:
                self._fail(job)

    def _fail(self, job: str) -> None:
        self._end(failed(job, self.error or _unreachable("The connection was closed.")))

    def _end(self, terminal: messages.Done | messages.Failed | messages.Cancelled) -> None:
        if self._operations.pop(terminal.job, None) is None:
            return
        self._outbox.append(terminal)
        if terminal.job == self._preview_in_flight:
            self._preview_in_flight = ""
            self._send_next_wish()

    def _send_next_wish(self) -> None:
        while not self._preview_in_flight and self._wishes:
            operation = self._wishes.pop(next(iter(self._wishes)))
            self._preview_in_flight = operation.request.job
            self._send_request(operation)

    def _send_blobs(self, lane: Lane, missing: Sequence[str]) -> None:
        """The answer to the oldest question about files on this lane."""
        if lane.waiting_for_blobs:
            operation: _Operation = lane.waiting_for_blobs.popleft()
            files = [operation.blobs[digest] for digest in missing if digest in operation.blobs]
            lane.parcels.append((operation, _parcels(files, lane.takes_parts)))

    @property
    def _is_sending(self) -> bool:
        return any(lane.parcels for lane in self._lanes) and not self.is_lost

    def _send_on(self, end: float) -> None:
        """Send files that are on their way, for so long and at least one part."""
        while self._is_sending:
            lane = next(lane for lane in self._lanes if lane.parcels)
            if self._send_parcel(lane, *lane.parcels[0]):
                lane.parcels.popleft()
            if self._clock() >= end:
                return

    def _send_parcel(self, lane: Lane, operation: _Operation, parcels: Iterator[Message]) -> bool:
        """Send the next message of an operation: a part of its files, or in the end its request. True: that was all."""
        if operation.request.job not in self._operations:
            return True  # cancelled meanwhile
        try:
            message = next(parcels, None)
            if message is not None:
                lane.send(message)
                return False
        except EDTalkError as error:  # the file is gone, say
            self._end(failed(operation.request.job, error))
            return True
        self._send_request(operation)
        return True

    # --- inside: messages ---------------------------------------------------------------------------------

    def _take_in(self, budget_s: float) -> None:
        """Take what has arrived; a broken connection counts only when nothing that came before is left."""
        if self.is_lost:
            return
        broken, end = [lane.is_broken() for lane in self._lanes], self._clock() + budget_s
        if self._drain(end):
            self._watch(self._has_ended(broken))
        self._send_on(end)

    def _has_ended(self, broken: list[bool]) -> bool:
        """A server's end breaks both lanes, one a little later; its last words may still be on the way there."""
        if any(broken) and self._broken_since is None:
            self._broken_since = self._clock()
        since = self._broken_since
        return all(broken) or (since is not None and self._clock() - since > _SECOND_LANE_S)

    def _drain(self, end: float) -> bool:
        """Take what has arrived, interactive first; True when nothing is left."""
        lanes = self._lanes[:1] if self.is_bulk_held else self._lanes
        while not self._closed:
            if not any(self._take_one(lane) for lane in lanes):
                return True
            if self._clock() >= end:
                return False
        return True

    def _take_one(self, lane: Lane) -> bool:
        try:
            message = lane.receive()
        except codec.CodecError as error:
            log.warning("a message of the server was not understood: %s", error.cause)
            return True
        if message is None:
            return False
        self._heartbeat.heard()
        self._take(lane, message)
        return True

    def _take(self, lane: Lane, message: Message) -> None:
        match message:
            case messages.Welcome():
                self._welcomed(lane, message)
            case messages.Pong():
                self.health = message
                self._state_is(message.state, message.activity)
            case messages.BlobsMissing():
                self._send_blobs(lane, message.digests)
            case messages.Refused():
                self._refused(lane, message)
            case messages.Failed(code=ErrorCode.BLOB_MISSING) if self._send_again(message.job):
                log.info("the server had dropped a file of %s; it is sent again", message.job)
            case messages.Done() | messages.Failed() | messages.Cancelled():
                self._end(message)
            case _ if is_job_event(message) and message.job in self._operations:  # type: ignore[attr-defined]
                self._outbox.append(message)  # type: ignore[arg-type]

    def _welcomed(self, lane: Lane, welcome: messages.Welcome) -> None:
        lane.welcomed, lane.takes_parts = True, "parts" in welcome.capabilities
        if self.welcome is None and all(one.welcomed for one in self._lanes):
            self.welcome = welcome
            self._outbox.append(Ready(welcome))

    def _state_is(self, state: str, activity: str) -> None:
        if state != self.state:
            self.state = state
            self._outbox.append(StateChanged(state, activity))

    def _refused(self, lane: Lane, refused: messages.Refused) -> None:
        if not lane.welcomed:
            code = ErrorCode(refused.code) if refused.code in list(ErrorCode) else ErrorCode.INTERNAL
            self._lose(EDTalkError(code, refused.cause, refused.fix))
        elif refused.subject in self._operations and refused.code != ErrorCode.UNKNOWN_JOB:
            self._end(messages.Failed(refused.subject, refused.code, refused.cause, refused.fix))
        elif refused.code == ErrorCode.SERVER_IN_USE:
            self._outbox.append(Kept(EDTalkError(ErrorCode.SERVER_IN_USE, refused.cause, refused.fix)))
        else:
            log.info("the server refused a message: %s", refused.cause)

    def _send_again(self, job: str) -> bool:
        """Send the files of a job once more: the server may have dropped them just before it came."""
        operation = self._operations.get(job)
        if operation is None or operation.sent_again:
            return False
        operation.sent, operation.sent_again = False, True
        self._begin(operation)
        return True

    def _watch(self, ended: bool) -> None:
        """Nothing is left to read: is the server still there?"""
        if self.is_lost:
            return
        if ended:
            self._lose(_unreachable("The connection to the server has ended."))
            return
        self._heartbeat.look(self._clock())
        if self._heartbeat.is_lost:
            self._lose(_unreachable("The server does not answer any more."))
        elif self._heartbeat.should_ask():
            self._interactive.send(messages.Ping(next(self._numbers)))

    def _lose(self, error: EDTalkError) -> None:
        if self.is_lost:
            return
        self.error, self.state = error, "lost"
        for job in self.open_jobs:
            self._fail(job)
        self._wishes.clear()
        self._outbox.append(Lost(error))

    # --- inside: handing out ------------------------------------------------------------------------------

    def _hand_out(self, events: list[Event]) -> list[Event]:
        """Frames that leave the client allow the server as many more."""
        for event in events:
            if isinstance(event, messages.Frame) and event.job in self._operations:
                self._owed[event.job] += 1
        for job, frames in self._owed.items():
            if job in self._operations and not self.is_lost:
                self._operations[job].lane.send(messages.Credit(job, frames))
        self._owed.clear()
        return events

    def _take_events_of(self, job: str) -> list[JobEvent]:
        mine: list[Any] = [event for event in self._outbox if getattr(event, "job", None) == job]
        self._outbox = deque(event for event in self._outbox if getattr(event, "job", None) != job)
        self._hand_out(mine)
        return mine

    def _pump(self) -> None:
        """Wait a moment for something to arrive, and take it."""
        if not self.is_lost:
            poller = zmq.Poller()
            for lane in self._lanes:
                lane.register(poller)
            poller.poll(0 if self._is_sending else _POLL_MS)
            self._take_in(DEFAULT_BUDGET_S)

    def _give_up(self, job: str, timeout: float) -> None:
        self.cancel(job)
        error = EDTalkError(
            ErrorCode.TIMEOUT,
            f"The server sent nothing for {timeout:g} seconds.",
            "Look at the server's log.",
        )
        self._end(failed(job, error))


def _parcels(files: Sequence[Content], in_parts: bool) -> Iterator[Message]:
    """The messages that take these files to the server."""
    for file in files:
        if not in_parts or file.size <= PART_BYTES:
            yield messages.PutBlob(file.digest, Blob(file.part(0, file.size)))
            continue
        for start in range(0, file.size, PART_BYTES):
            yield messages.PutPart(file.digest, start, file.size, Blob(file.part(start)))


def _unreachable(cause: str) -> EDTalkError:
    return EDTalkError(ErrorCode.SERVER_UNREACHABLE, cause, "Start the server again in the EDTalk panel.")
