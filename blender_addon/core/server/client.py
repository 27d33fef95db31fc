# SPDX-License-Identifier: GPL-3.0-or-later
"""The client: typed requests in, bounded events out, `tick()`. No bpy and no threads here.

Nothing else may touch the transport. `start` returns a job's name at once, `tick` what has come of all jobs; every job
ends in exactly one `Done`, `Failed` or `Cancelled`, whatever happens to the server. There are two channels, so that
previews never queue behind the frames of a bake. A client belongs to the thread that made it.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import zmq

import shared_protocol
from shared_protocol import codec, messages
from shared_protocol.connection import Connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import JobReply, Message, Request

from .channel import Channel
from .events import TERMINAL, Event, Lost, Ready, StateChanged, StopRefused, failed
from .policies import Heartbeat
from .previews import PendingPreviews
from .uploads import Content

log = logging.getLogger(__name__)

DEFAULT_BUDGET_S = 0.004
"""Seconds that a `tick` takes at most."""
_POLL_MS = 50
_SECOND_CHANNEL_S = 0.5
"""Seconds that the last messages of a server that has ended may take on the other channel."""


@dataclass(eq=False)
class _Job:
    """A request on its way, with the files that it names by their digests."""

    request: Request[Any]
    channel: Channel
    files: tuple[Content, ...] = ()
    is_sent: bool = False
    is_repeated: bool = False


class Client:
    """A connection to a running server. `clock` counts seconds."""

    def __init__(
        self, connection: Connection, name: str = "client", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._interactive, self._bulk = Channel(self._context, connection), Channel(self._context, connection)
        self._jobs: dict[str, _Job] = {}
        self._previews = PendingPreviews()
        self._outbox: deque[Event] = deque()
        self._owed_credit = Counter[str]()
        self._serials = itertools.count(1)
        self._heartbeat = Heartbeat(clock())
        self._is_closed = False
        self.is_bulk_held = False
        """While true, nothing is read from the channel of long jobs, so the server runs out of credit."""
        self._broken_since: float | None = None
        self.state = "connecting"
        self.health = messages.Pong()
        self.welcome: messages.Welcome | None = None
        self.error: EDTalkError | None = None
        hello = messages.Hello(
            client=f"{name}-{uuid.uuid4().hex}", version=shared_protocol.__version__, pid=os.getpid()
        )
        for channel in self._channels:
            channel.send(hello)

    @property
    def is_lost(self) -> bool:
        """Has the connection ended? A lost client fails every request; make a new one."""
        return self.error is not None

    @property
    def open_jobs(self) -> tuple[str, ...]:
        """The jobs that have not ended."""
        return tuple(self._jobs)

    # --- requests -----------------------------------------------------------------------------------------

    def start(self, request: Request[Any], files: Sequence[Content] = (), slot: str = "") -> str:
        """Make a request; return the name of its job, which is filled in here.

        `files` are those that the request names by their digests; they are sent where the server lacks them. Of the
        previews that wait, only the newest of each `slot` (a character, say) is kept; the older ones end as `Cancelled`
        with reason `superseded`.
        """
        name = f"{type(request).__name__.lower()}-{next(self._serials)}"
        channel = self._interactive if request.is_interactive else self._bulk
        self._jobs[name] = _Job(replace(request, job=name), channel, tuple(files))
        if isinstance(request, messages.Preview):
            if superseded := self._previews.add(slot, name):
                self._end(messages.Cancelled(superseded, "superseded"))
            self._send_next_preview()
        else:
            self._begin(name)
        return name

    def cancel(self, job: str) -> None:
        """End a job as `Cancelled`, unless it has just ended otherwise."""
        operation = self._jobs.get(job)
        if operation is None:
            return
        if operation.is_sent:  # on its own channel: never ahead of the request itself
            self._send(operation.channel, messages.Cancel(job))
        else:
            self._end(messages.Cancelled(job, "asked"))

    def release(self) -> None:
        """Ask the server to free the accelerator's memory. Its next `Pong` says what it holds then."""
        self._send(self._interactive, messages.Release())

    def shutdown(self, alone: bool = False) -> None:
        """Ask the server to end; with `alone` only if nobody else uses it, else the event is `StopRefused`.

        Check for the capability `shutdown.alone` first: older servers end in any case.
        """
        self._send(self._interactive, messages.Shutdown(alone))

    # --- events -------------------------------------------------------------------------------------------

    def tick(self, budget_s: float = DEFAULT_BUDGET_S) -> list[Event]:
        """Return what has happened since the last call. Takes about `budget_s` seconds at most, and never waits."""
        self._receive(budget_s)
        events = list(self._outbox)
        self._outbox.clear()
        self._give_credit(events)
        return events

    def events(self, job: str, timeout: float | None = None) -> Iterator[JobReply]:
        """Yield the events of one job as they come, the terminal one last. Waits: for scripts and background mode.

        After `timeout` seconds without an event, the job is cancelled and ends as `Failed(TIMEOUT)`. Events of other
        jobs are kept for the next `tick`.
        """
        last_event_at = self._clock()
        while True:
            events = self._take_events_of(job)
            for event in events:
                yield event
                if isinstance(event, TERMINAL):
                    return
            if events:
                last_event_at = self._clock()
            elif job not in self._jobs:
                return
            elif timeout is not None and self._clock() - last_event_at > timeout:
                self._give_up(job, timeout)
            else:
                self._pump()

    def wait(self, job: str, timeout: float | None = None) -> list[JobReply]:
        """Return all events of a job, the terminal one last (see `events`)."""
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
        """Treat the connection as ended, because the owner knows that the server's process is gone."""
        self._lose(_unreachable(cause))

    def close(self) -> list[Event]:
        """Drop the connection and return the last events: every open job is `Cancelled`."""
        for job in self.open_jobs:
            self._end(messages.Cancelled(job, "stopping"))
        if not self._is_closed:
            self._is_closed = True
            for channel in self._channels:
                channel.close()
            self._context.term()
        self.error = self.error or _unreachable("The connection was closed.")
        last = list(self._outbox)
        self._outbox.clear()
        return last

    # --- inside: jobs -------------------------------------------------------------------------------------

    @property
    def _channels(self) -> tuple[Channel, Channel]:
        return self._interactive, self._bulk

    def _begin(self, name: str) -> None:
        """Send a job's request, after the files that the server lacks."""
        job = self._jobs[name]
        if job.files:
            self._send(job.channel, job.channel.uploads.ask(name, job.files))
        else:
            self._send_request(name)

    def _send_request(self, name: str) -> None:
        """Hand the request to the server; one that cannot be sent ends here."""
        if self.is_lost:
            return self._fail(name)
        job = self._jobs[name]
        try:
            job.channel.send(job.request)
            job.is_sent = True
        except codec.CodecError as error:
            self._end(failed(name, error))

    def _send(self, channel: Channel, message: Message) -> None:
        """Send a message that is no request. A lost connection fails all jobs."""
        if not self.is_lost:
            channel.send(message)
        else:
            for job in self.open_jobs:
                self._fail(job)

    def _fail(self, name: str) -> None:
        self._end(failed(name, self.error or _unreachable("The connection was closed.")))

    def _end(self, terminal: messages.Done | messages.Failed | messages.Cancelled) -> None:
        if self._jobs.pop(terminal.job, None) is not None:
            self._outbox.append(terminal)
            self._previews.end(terminal.job)
            self._send_next_preview()

    def _send_next_preview(self) -> None:
        while name := self._previews.next():
            self._send_request(name)

    # --- inside: files ------------------------------------------------------------------------------------

    @property
    def _is_uploading(self) -> bool:
        return any(channel.uploads.job for channel in self._channels) and not self.is_lost

    def _upload_until(self, end: float) -> None:
        """Send files until `end`, at least one part."""
        while self._is_uploading:
            self._send_part(next(channel for channel in self._channels if channel.uploads.job))
            if self._clock() >= end:
                return

    def _send_part(self, channel: Channel) -> None:
        """Send the next part of a job's files, or in the end its request."""
        name = channel.uploads.job
        try:
            message = channel.uploads.next_message() if name in self._jobs else None
            if message is not None:
                channel.send(message)
                return
        except EDTalkError as error:  # the file is gone, say
            self._end(failed(name, error))
        channel.uploads.drop()
        if name in self._jobs:
            self._send_request(name)

    def _repeat(self, name: str) -> bool:
        """Send a job and its files once more: the server may have dropped them just before the request came."""
        job = self._jobs.get(name)
        if job is None or job.is_repeated:
            return False
        job.is_sent, job.is_repeated = False, True
        self._begin(name)
        return True

    # --- inside: messages ---------------------------------------------------------------------------------

    def _receive(self, budget_s: float) -> None:
        """Take what has arrived. A broken connection counts only when nothing that came before it is left."""
        if self.is_lost:
            return
        broken, end = [channel.is_broken() for channel in self._channels], self._clock() + budget_s
        if self._drain(end):
            self._watch(self._has_ended(broken))
        self._upload_until(end)

    def _has_ended(self, broken: list[bool]) -> bool:
        """A server's end breaks both channels, one a little later: its last messages may still be on the way there."""
        if any(broken) and self._broken_since is None:
            self._broken_since = self._clock()
        since = self._broken_since
        return all(broken) or (since is not None and self._clock() - since > _SECOND_CHANNEL_S)

    def _drain(self, end: float) -> bool:
        """Take what has arrived, interactive first; return whether nothing is left."""
        channels = self._channels[:1] if self.is_bulk_held else self._channels
        while not self._is_closed:
            if not any(self._receive_one(channel) for channel in channels):
                return True
            if self._clock() >= end:
                return False
        return True

    def _receive_one(self, channel: Channel) -> bool:
        try:
            message = channel.receive()
        except codec.CodecError as error:
            log.warning("a message of the server was not understood: %s", error.cause)
            return True
        if message is None:
            return False
        self._heartbeat.reset()
        self._take(channel, message)
        return True

    def _take(self, channel: Channel, message: Message) -> None:
        match message:
            case messages.Welcome():
                self._welcomed(channel, message)
            case messages.Pong():
                self.health = message
                self._set_state(message.state, message.activity)
            case messages.BlobsMissing():
                channel.uploads.answer(message.digests)
            case messages.Refused():
                self._refused(channel, message)
            case messages.Failed(code=ErrorCode.BLOB_MISSING) if self._repeat(message.job):
                log.info("the server had dropped a file of %s; it is sent again", message.job)
            case messages.Done() | messages.Failed() | messages.Cancelled():
                self._end(message)
            case JobReply() if message.job in self._jobs:
                self._outbox.append(message)

    def _welcomed(self, channel: Channel, welcome: messages.Welcome) -> None:
        channel.is_welcome, channel.uploads.takes_parts = True, "parts" in welcome.capabilities
        if self.welcome is None and all(channel.is_welcome for channel in self._channels):
            self.welcome = welcome
            self._outbox.append(Ready(welcome))

    def _set_state(self, state: str, activity: str) -> None:
        if state != self.state:
            self.state = state
            self._outbox.append(StateChanged(state, activity))

    def _refused(self, channel: Channel, refused: messages.Refused) -> None:
        if not channel.is_welcome:
            code = ErrorCode(refused.code) if refused.code in list(ErrorCode) else ErrorCode.INTERNAL
            self._lose(EDTalkError(code, refused.cause, refused.fix))
        elif refused.subject in self._jobs and refused.code != ErrorCode.UNKNOWN_JOB:
            self._end(messages.Failed(refused.subject, refused.code, refused.cause, refused.fix))
        elif refused.code == ErrorCode.SERVER_IN_USE:
            self._outbox.append(StopRefused(EDTalkError(ErrorCode.SERVER_IN_USE, refused.cause, refused.fix)))
        else:
            log.info("the server refused a message: %s", refused.cause)

    def _watch(self, has_ended: bool) -> None:
        """Look whether the server is still there, now that nothing is left to read."""
        if self.is_lost:
            return
        if has_ended:
            self._lose(_unreachable("The connection to the server has ended."))
            return
        self._heartbeat.advance(self._clock())
        if self._heartbeat.is_lost:
            self._lose(_unreachable("The server no longer answers."))
        elif self._heartbeat.should_ask():
            self._interactive.send(messages.Ping(next(self._serials)))

    def _lose(self, error: EDTalkError) -> None:
        if self.is_lost:
            return
        self.error, self.state = error, "lost"
        for job in self.open_jobs:
            self._fail(job)
        self._outbox.append(Lost(error))

    # --- inside: handing out ------------------------------------------------------------------------------

    def _give_credit(self, events: Sequence[Event]) -> None:
        """Allow the server as many more frames as leave the client."""
        for event in events:
            if isinstance(event, messages.Frame) and event.job in self._jobs:
                self._owed_credit[event.job] += 1
        for job, frames in self._owed_credit.items():
            if job in self._jobs and not self.is_lost:
                self._jobs[job].channel.send(messages.Credit(job, frames))
        self._owed_credit.clear()

    def _take_events_of(self, job: str) -> list[JobReply]:
        events = [event for event in self._outbox if isinstance(event, JobReply) and event.job == job]
        self._outbox = deque(event for event in self._outbox if getattr(event, "job", None) != job)
        self._give_credit(events)
        return events

    def _pump(self) -> None:
        """Wait a moment for something to arrive, and take it."""
        if not self.is_lost:
            poller = zmq.Poller()
            for channel in self._channels:
                channel.register(poller)
            poller.poll(0 if self._is_uploading else _POLL_MS)
            self._receive(DEFAULT_BUDGET_S)

    def _give_up(self, job: str, timeout: float) -> None:
        self.cancel(job)
        error = EDTalkError(
            ErrorCode.TIMEOUT,
            f"The server sent nothing for {timeout:g} seconds.",
            "Look at the server's log.",
        )
        self._end(failed(job, error))


def _unreachable(cause: str) -> EDTalkError:
    return EDTalkError(ErrorCode.SERVER_UNREACHABLE, cause, "Start the server again in the EDTalk panel.")
