# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's one connection: the server's process, the client, and who waits for which answer. No bpy here.

The UI makes a typed request, `messages.Predict(...)` say, and runs it: `run` for its one result or `stream` for many,
as steps of long work (see `tasks`), or `submit` with a listener. Here the job's name is filled in, long renders are
split, and a server that is too old for a request is found out. `pump` is called by Blender's timer, or by a blocking
loop; it never waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from shared_protocol import messages
from shared_protocol.connection import Connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Answer, Blob, Cancelled, Failed, JobReply, Pong, Prepared, Request

from ..tasks import Progress, Steps, Stopped, Task
from ..weights import layouts
from . import events
from .client import Client
from .discovery import ServerInstall, find_install
from .process import ServerProcess, ServerState
from .status import ENDED, Bundle, Memory, ServerStatus
from .uploads import Content

Listener = Callable[[JobReply], None]
OnProgress = Callable[[messages.Progress], None]

RELEASE = "release"
"""Capability: the server can give the accelerator's memory back."""
STOP_ALONE = "shutdown.alone"
"""Capability: the server can be asked to end only if nobody else uses it."""
CLOSE_DEADLINE_S = 8.0
"""Seconds; longer than the server's process is given to end (ask, terminate, kill)."""
FRAMES_PER_JOB = 2_000
"""Frames of a render in one message: writing it takes about a millisecond. (Ten times as many would fit, however large
their numbers are; see `codec.MAX_HEADER_BYTES`.)"""
_TASK_SLOT = "task"
"""The slot of previews that a task waits for (see `Client.start`)."""


class Session:
    """One server, one client, one task at a time.

    `failure` is the cause and fix of what went wrong last, for the panel. `find` finds the server's install.
    """

    def __init__(self, find: Callable[[], ServerInstall] = find_install) -> None:
        self.task: Task | None = None
        self.failure: tuple[str, str] | None = None
        self.bundle: Bundle | None = None
        self.client: Client | None = None
        self.server = ServerProcess(find)
        self._connected_to: Connection | None = None
        self._listeners: dict[str, Listener] = {}
        self._known_sources: set[str] = set()
        self._source_of_job: dict[str, str] = {}

    # --- requests ------------------------------------------------------------------------------------------

    def run(
        self,
        request: Request[Answer],
        progress: Progress,
        files: Sequence[Content] = (),
        on_progress: OnProgress | None = None,
    ) -> Steps[Answer]:
        """Make a request, wait for its end and return its result (`Done` of a job without one). See `stream`."""
        results: list[Answer] = []
        yield from self.stream(request, results.append, progress, files, on_progress)
        if not results:
            raise EDTalkError(
                ErrorCode.INTERNAL,
                f"The server ended {type(request).__name__} without a result.",
                "Look at the server's log.",
            )
        return results[0]

    def stream(
        self,
        request: Request[Answer],
        on_result: Callable[[Answer], None],
        progress: Progress,
        files: Sequence[Content] = (),
        on_progress: OnProgress | None = None,
    ) -> Steps[None]:
        """Make a request and hand its results to `on_result` as they come. Closing cancels the job.

        `files` are those that the request names by their digests. `on_progress` is told how far the job is (default: it
        is shown in `progress`). A render of many frames is several jobs that look like one.
        Raises `EDTalkError` when the job failed, `Stopped` when somebody else cancelled it.
        """
        if not isinstance(request, messages.Render):
            yield from self._wait_for(request, on_result, files, on_progress or progress.follow)
            return
        for done, part in _parts(request):
            yield from self._wait_for(part, on_result, files, on_progress or _in_part(progress, done))

    def submit(
        self, request: Request[Any], listener: Listener, files: Sequence[Content] = (), slot: str = ""
    ) -> str:
        """Make a request whose replies go to `listener`; return the job's name. `slot`: see `Client.start`."""
        job = self._client(request.capability).start(request, files, slot)
        self._listeners[job] = listener
        self._source_of_job[job] = getattr(request, "source", "")
        return job

    def _wait_for(
        self,
        request: Request[Answer],
        on_result: Callable[[Answer], None],
        files: Sequence[Content],
        on_progress: OnProgress,
    ) -> Steps[None]:
        kind = request.answer_type()
        replies: list[JobReply] = []
        job = self.submit(request, replies.append, files, _TASK_SLOT)
        try:
            while True:
                for reply in replies:
                    match reply:
                        case messages.Progress():
                            on_progress(reply)
                        case Cancelled():
                            raise Stopped
                        case Failed():
                            events.raise_if_failed(reply)
                        case _ if isinstance(reply, kind):
                            on_result(reply)
                    if isinstance(reply, events.TERMINAL):
                        return
                replies.clear()
                yield
        finally:
            self._listeners.pop(job, None)
            if self.client is not None:
                self.client.cancel(job)

    def knows(self, source: str) -> bool:
        """Return whether the server holds this source, as far as is known."""
        return source in self._known_sources

    def release(self) -> None:
        """Ask the server to free the graphics memory; it takes it again for the next picture. Never waits."""
        self._client(RELEASE).release()

    def hold_results_back(self, hold: bool) -> None:
        """Take no more results of long jobs for now, or go on: unread frames hold the server back."""
        if self.client is not None:
            self.client.is_bulk_held = hold

    def can(self, capability: str) -> bool:
        """Return whether the server has this capability (`Request.capability`, `Welcome.capabilities`)."""
        welcome = self.client.welcome if self.client is not None else None
        return welcome is not None and capability in welcome.capabilities

    def _client(self, capability: str) -> Client:
        """Return the client. Raises `EDTalkError` without a server, or with one that lacks the capability."""
        if self.client is None or self.bundle is None:
            raise not_running()
        if capability and not self.can(capability):
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                f"This EDTalk server is older than the add-on: it does not know “{capability}”.",
                "Update the EDTalk server.",
            )
        return self.client

    # --- the server ----------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Can a request be made now?"""
        return self.bundle is not None and self.server.is_ready

    @property
    def is_connected(self) -> bool:
        """Is there a server, ready or not?"""
        return self.server.state not in ENDED

    @property
    def is_waiting(self) -> bool:
        """Is an answer on its way (so that pumping often is worth it)?"""
        return bool(self._listeners) or (self.is_connected and not self.is_ready)

    @property
    def status(self) -> ServerStatus:
        """What the panel shows of the server."""
        age = self.server.seconds_in_state(time.monotonic())
        return ServerStatus.of(self.server.state, age, self._health)

    @property
    def memory(self) -> Memory:
        """The server's memory, as it reported last."""
        return Memory.of(self._health)

    @property
    def others(self) -> int:
        """How many other programs use the server, as it reported last."""
        return max(0, self._health.users - 1)

    @property
    def trouble(self) -> tuple[str, str] | None:
        """Cause and fix of what stands in the way: the server's, else that of the last task."""
        if self.server.state in ENDED and self.server.error is not None:
            return self.server.error.cause, self.server.error.fix
        return self.failure

    @property
    def _health(self) -> Pong:
        return self.client.health if self.client is not None else Pong()

    def start_server(self) -> None:
        """Begin to start the server, or to connect to a running one of this install. Never waits."""
        self.server.start(time.monotonic())

    def stop_server(self) -> None:
        """Begin to stop the server; only disconnect from one that somebody else started or uses. Never waits."""
        self.server.stop(time.monotonic(), self._ask_to_end)

    def end_server(self) -> None:
        """Ask the server to end, whoever started it. It stays connected if others use it. Never waits.

        Raises `EDTalkError` when somebody else started it and it cannot tell whether others use it: it is too old, or
        has not answered yet.
        """
        if self.server.is_adopted:
            if self.bundle is None:
                raise EDTalkError(
                    ErrorCode.SERVER_UNREACHABLE,
                    "The server has not answered yet, so nobody knows whether others use it.",
                    "Wait until it is ready, then try again.",
                )
            self._client(STOP_ALONE)
        self.server.end(time.monotonic(), self._ask_to_end)

    def ready(self, progress: Progress) -> Steps[Bundle]:
        """Wait until the server takes requests; start it when none runs. Raises `EDTalkError` when it cannot start."""
        self.start_server()
        while self.bundle is None or not self.is_ready:
            if not self.is_connected:
                raise self.server.error or not_running()
            progress.stage = self.status.line  # which is in the user's language already
            yield
        return self.bundle

    def restart(self, progress: Progress) -> Steps[Bundle]:
        """End the server, whoever started it, and start it again with the options that are wanted now.

        When this Blender wants one of its own now, it only disconnects from what others started or use.
        Raises `EDTalkError` when others use it (it keeps running), or when none could be started.
        """
        if self.server.wants_own():
            self.stop_server()
        else:
            self.end_server()
        while self.server.state is ServerState.STOPPING:
            progress.stage = self.status.line  # which is in the user's language already
            yield
        if self.server.state is not ServerState.STOPPED:
            raise self.server.error or not_running()
        return (yield from self.ready(progress))

    def close(self) -> None:
        """End everything, and wait until the server's process has ended."""
        self.stop_server()
        end = time.monotonic() + CLOSE_DEADLINE_S
        while self.is_connected and time.monotonic() < end:
            self.pump()
            time.sleep(0.01)
        self._disconnect()

    def _ask_to_end(self) -> None:
        if self.client is not None:
            self.client.shutdown(alone=self.can(STOP_ALONE))

    # --- what arrives --------------------------------------------------------------------------------------

    def pump(self, budget_s: float = 0.004) -> bool:
        """Look after the server and hand out what has arrived; return whether there was anything. Takes about
        `budget_s` seconds at most."""
        if self.server.state is ServerState.STOPPING:
            self._hand_out(budget_s)  # a refusal to stop must be read before the process is pushed further
        self.server.poll(time.monotonic())
        self._follow_server()
        return self._hand_out(budget_s)

    def _hand_out(self, budget_s: float) -> bool:
        arrived = self.client.tick(budget_s) if self.client is not None else []
        for event in arrived:
            self._take(event)
        return bool(arrived)

    def _follow_server(self) -> None:
        """Connect to the server that there is now, and drop the connection to one that has gone."""
        wanted = self.server.connection
        if wanted is self._connected_to:
            return
        if self.client is not None and self.server.state not in (ServerState.STOPPED, ServerState.STOPPING):
            # nobody asked for this: jobs end as failed, not as cancelled
            self.client.lose(self.server.error.cause if self.server.error else "The server has ended.")
            for event in self.client.tick():
                if not isinstance(event, events.Lost):
                    self._take(event)
        self._disconnect()
        if wanted is not None and self.server.state is not ServerState.STOPPING:
            self._connected_to, self.client = wanted, Client(wanted, "blender")

    def _disconnect(self) -> None:
        client, self.client, self.bundle, self._connected_to = self.client, None, None, None
        self._known_sources.clear()
        if client is not None:
            for event in client.close():
                self._take(event)

    def _take(self, event: events.Event) -> None:
        match event:
            case events.Ready():
                self._welcomed(event)
            case events.Lost():
                self._lost(event.error)
            case events.StateChanged():
                self.server.observe(event.state)
            case events.StopRefused():
                self.server.refuse_stop(event.error)
            case _:
                self._deliver(event)

    def _welcomed(self, ready: events.Ready) -> None:
        try:
            bundle = Bundle.from_description(ready.bundle)
            layouts.channels(bundle.layout)
        except (EDTalkError, ValueError) as error:
            cause = error.cause if isinstance(error, EDTalkError) else str(error)
            self._lost(
                EDTalkError(
                    ErrorCode.VERSION_MISMATCH,
                    cause,
                    "Install the server and the add-on again, in the same version.",
                )
            )
            return
        self.bundle = bundle

    def _lost(self, error: EDTalkError) -> None:
        self._disconnect()
        self.server.lost(time.monotonic(), error)

    def _deliver(self, reply: JobReply) -> None:
        if isinstance(reply, Prepared):
            self._known_sources.add(reply.source)
        if isinstance(reply, Failed) and reply.code == ErrorCode.UNKNOWN_SOURCE:
            self._known_sources.discard(self._source_of_job.get(reply.job, ""))
        listener = self._listeners.get(reply.job)
        if isinstance(reply, events.TERMINAL):
            self._listeners.pop(reply.job, None)
            self._source_of_job.pop(reply.job, None)
        if listener is not None:
            listener(reply)


def _parts(request: messages.Render) -> Iterator[tuple[int, Request[Any]]]:
    """Yield a render as jobs of at most `FRAMES_PER_JOB` frames, each with the number of frames before it."""
    count = len(request.frames)
    row_bytes = len(request.weights) // max(1, count)
    for start in range(0, count, FRAMES_PER_JOB):
        end = start + FRAMES_PER_JOB
        weights = Blob(request.weights[start * row_bytes : end * row_bytes])
        yield start, replace(request, frames=request.frames[start:end], weights=weights)


def _in_part(progress: Progress, before: int) -> OnProgress:
    """Return what shows how far a range is whose first `before` frames are done, and of which more may follow."""
    total = progress.total

    def follow(event: messages.Progress) -> None:
        progress.follow(event)
        progress.done, progress.total = before + event.done, total
        progress.eta = (total - progress.done) / event.rate if event.rate > 0 else -1.0

    return follow


def not_running() -> EDTalkError:
    """Return the error of a request that is made without a server."""
    return EDTalkError(
        ErrorCode.SERVER_UNREACHABLE, "The EDTalk server is not running.", "Start it in the EDTalk panel."
    )
