# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's one connection: server process, client, and who waits for which answer. No bpy here.

`pump` is called by Blender's timer, or by a blocking loop; it never waits. Everything else only sends requests. What
long work needs from the server is given as steps (see `tasks`), what a live picture needs as requests with a listener.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from shared_protocol.banks import BankLayout
from shared_protocol.connection import Connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Cancelled, Failed, Frame, Performance, Prepared, PreviewFrame
from shared_protocol.messages import Progress as JobProgress
from shared_protocol.timebase import TimeBase

from . import events, layouts
from .client import Client
from .discovery import ServerInstall, find_install
from .server_process import ServerProcess, ServerState
from .tasks import Progress, Steps, Stopped, Task

Listener = Callable[[events.JobEvent], None]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Bundle:
    """The model that the server runs. `identity` changes with its content."""

    title: str
    identity: str
    layout: BankLayout

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Bundle:
        """From what the server says in its welcome. Raises `EDTalkError` when it cannot be read."""
        name, version = str(description.get("name", "")), str(description.get("version", ""))
        layout = layouts.layout_from_rows(description.get("bases", ()))
        title = f"{description.get('title') or name} {version}".strip()
        return cls(title, str(description.get("digest") or f"{name} {version}"), layout)


@dataclass(frozen=True)
class Face:
    """One line about the server: words, Blender's name of an icon, whether it can be stopped."""

    line: str
    icon: str
    can_stop: bool


_ICONS = {
    ServerState.READY: "CHECKMARK",
    ServerState.BUSY: "SORTTIME",
    ServerState.STARTING: "TIME",
    ServerState.WARMING_UP: "TIME",
    ServerState.STOPPING: "TIME",
    ServerState.FAILED: "ERROR",
    ServerState.NOT_INSTALLED: "ERROR",
}
_ENDED = (ServerState.STOPPED, ServerState.FAILED, ServerState.NOT_INSTALLED)
CLOSE_DEADLINE_S = 8.0
"""Longer than the server's process is given to end (ask, terminate, kill)."""


class Session:
    """One server, one client, one task at a time.

    `failure` is the cause and fix of what went wrong last, for the panel. `find` is how the server's install is found.
    """

    def __init__(self, find: Callable[[], ServerInstall] = find_install) -> None:
        self.task: Task | None = None
        self.failure: tuple[str, str] | None = None
        self.bundle: Bundle | None = None
        self.client: Client | None = None
        self.server = ServerProcess(find)
        self._connected_to: Connection | None = None
        self._listeners: dict[str, Listener] = {}
        self._sources: set[str] = set()
        self._asked_of: dict[str, str] = {}

    # --- what arrives --------------------------------------------------------------------------------------

    def pump(self, budget_s: float = 0.004) -> bool:
        """Look after the server and take what has arrived, telling those who wait; True when there was anything."""
        self.server.poll(time.monotonic())
        self._follow_server()
        news = self.client.tick(budget_s) if self.client is not None else []
        for event in news:
            self._take(event)
        return bool(news)

    def _follow_server(self) -> None:
        """Connect to the server that there is now, and drop the connection to one that has gone."""
        wanted = self.server.connection
        if wanted is self._connected_to:
            return
        if self.client is not None and self.server.state not in (ServerState.STOPPED, ServerState.STOPPING):
            # nobody wished it: those who wait are told that it failed, not that it was cancelled
            self.client.lose(self.server.error.cause if self.server.error else "The server has ended.")
            for event in self.client.tick():
                if not isinstance(event, events.Lost):
                    self._take(event)
        self._disconnect()
        if wanted is not None:
            self._connected_to, self.client = wanted, Client(wanted, "blender")

    def _disconnect(self) -> None:
        client, self.client, self.bundle, self._connected_to = self.client, None, None, None
        self._sources.clear()
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
            case _:
                self._deliver(event)

    def _welcomed(self, ready: events.Ready) -> None:
        try:
            bundle = Bundle.from_description(ready.bundle)
            layouts.channels(bundle.layout)
        except (EDTalkError, ValueError) as error:
            cause = error.cause if isinstance(error, EDTalkError) else str(error)
            self._lost(
                EDTalkError(ErrorCode.VERSION_MISMATCH, cause, "Install server and add-on anew, together.")
            )
            return
        self.bundle = bundle

    def _lost(self, error: EDTalkError) -> None:
        self._disconnect()
        self.server.lost(time.monotonic(), error)

    def _deliver(self, event: events.JobEvent) -> None:
        if isinstance(event, Prepared):
            self._sources.add(event.source)
        if isinstance(event, Failed) and event.code == ErrorCode.UNKNOWN_SOURCE:
            self._sources.discard(self._asked_of.get(event.job, ""))
        listener = self._listeners.get(event.job)
        if isinstance(event, events.TERMINAL):
            self._listeners.pop(event.job, None)
            self._asked_of.pop(event.job, None)
        if listener is not None:
            listener(event)

    # --- the server ----------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Can a request be made now?"""
        return self.bundle is not None and self.server.is_ready

    @property
    def is_connected(self) -> bool:
        """Is there a server, be it not yet ready?"""
        return self.server.state not in _ENDED

    @property
    def is_waiting(self) -> bool:
        """Is an answer under way (so that pumping often is worth it)?"""
        return bool(self._listeners) or (self.is_connected and not self.is_ready)

    @property
    def face(self) -> Face:
        """What the panel shows of the server."""
        state = self.server.state
        age = self.server.seconds_in_life(time.monotonic())
        waiting = state in (ServerState.STARTING, ServerState.WARMING_UP)
        line = f"Server: {state.value}{f' ({age:.0f} s)' if waiting else ''}"
        return Face(line, _ICONS.get(state, "RADIOBUT_OFF"), self.is_connected)

    @property
    def trouble(self) -> tuple[str, str] | None:
        """Cause and fix of what stands in the way: the server's, else that of the last task."""
        if self.server.state in _ENDED and self.server.error is not None:
            return self.server.error.cause, self.server.error.fix
        return self.failure

    def start_server(self) -> None:
        """Begin to start the server, or to connect to one of this install that runs. Never waits."""
        self.server.start(time.monotonic())

    def stop_server(self) -> None:
        """Begin to stop the server. Never waits."""
        client = self.client
        self.server.stop(time.monotonic(), client.shutdown if client is not None else _nothing)

    def close(self) -> None:
        """End everything, and wait until the server's process has ended."""
        self.stop_server()
        end = time.monotonic() + CLOSE_DEADLINE_S
        while self.is_connected and time.monotonic() < end:
            self.pump()
            time.sleep(0.01)
        self._disconnect()

    def ready(self, progress: Progress) -> Steps[Bundle]:
        """Wait until the server takes requests; start it when it does not run.

        Raises `EDTalkError` when it cannot be started.
        """
        self.start_server()
        while self.bundle is None or not self.is_ready:
            if self.server.state in _ENDED:
                raise self.server.error or _not_running()
            progress.stage = self.face.line
            yield
        return self.bundle

    # --- requests with a listener --------------------------------------------------------------------------

    def knows(self, source: str) -> bool:
        """Does the server hold this source, as far as we know?"""
        return source in self._sources

    def request_source(self, portrait: bytes, listener: Listener) -> str:
        """Ask for a portrait to be prepared."""
        return self._listen(self._client().prepare(portrait), listener)

    def request_preview(
        self, source: str, weights: npt.NDArray[np.float32], slot: str, listener: Listener
    ) -> str:
        """Ask for one picture of weights [channels]; of those that wait, only the newest of a slot is made."""
        job = self._client().preview(source, weights, slot)
        return self._listen(job, listener, source)

    def _client(self) -> Client:
        if self.client is None or self.bundle is None:
            raise _not_running()
        return self.client

    def _listen(self, job: str, listener: Listener, source: str = "") -> str:
        self._listeners[job] = listener
        self._asked_of[job] = source
        return job

    # --- steps of tasks ------------------------------------------------------------------------------------

    def answers(self, job: str, progress: Progress, hear: Listener) -> Steps[None]:
        """Wait until a job has ended; `hear` gets its results as they come. Closing cancels the job.

        Raises `EDTalkError` when it failed, `Stopped` when somebody else cancelled it.
        """
        news: list[events.JobEvent] = []
        self._listeners[job] = news.append
        try:
            while True:
                for event in news:
                    match event:
                        case JobProgress():
                            progress.done, progress.total, progress.eta = event.done, event.total, event.eta
                        case Cancelled():
                            raise Stopped
                        case Failed():
                            events.raise_if_failed(event)
                        case _ if isinstance(event, events.TERMINAL):
                            return
                        case _:
                            hear(event)
                news.clear()
                yield
        finally:
            self._listeners.pop(job, None)
            if self.client is not None:
                self.client.cancel(job)

    def _one_answer(self, job: str, kind: type[Answer], progress: Progress) -> Steps[Answer]:
        """Wait for a job that has one result."""
        results: list[Any] = []
        yield from self.answers(job, progress, results.append)
        for result in results:
            if isinstance(result, kind):
                return result
        raise EDTalkError(
            ErrorCode.INTERNAL, f"The server ended {job} without a result.", "Look at the server's log."
        )

    def prepare(self, portrait: bytes, progress: Progress) -> Steps[Prepared]:
        """Let the server encode a portrait (it keeps it for later)."""
        progress.stage, progress.total, progress.eta = "Looking at the portrait", 0, -1.0
        prepared = yield from self._one_answer(self._client().prepare(portrait), Prepared, progress)
        self._sources.add(prepared.source)
        return prepared

    def picture(
        self, source: str, weights: npt.NDArray[np.float32], progress: Progress
    ) -> Steps[PreviewFrame]:
        """One picture of weights [channels]."""
        progress.stage, progress.total, progress.eta = "Making the first picture", 0, -1.0
        job = self._client().preview(source, weights, "task")
        return (yield from self._one_answer(job, PreviewFrame, progress))

    def predict(
        self, source: str, voice: bytes, timing: TimeBase, frames: range, progress: Progress
    ) -> Steps[npt.NDArray[np.float32]]:
        """Weights [frames, channels] for a voice whose seconds belong to frames as `timing` says."""
        progress.stage, progress.total, progress.eta = "Predicting", 0, -1.0
        job = self._client().predict(
            source,
            voice,
            fps=(timing.fps.numerator, timing.fps.denominator),
            frames=len(frames),
            offset=timing.seconds(frames[0]),
        )
        performance = yield from self._one_answer(job, Performance, progress)
        weights = events.weights_of(performance)
        if weights.shape[0] != len(frames):
            raise EDTalkError(
                ErrorCode.INTERNAL,
                f"The server predicted {weights.shape[0]} frames instead of {len(frames)}.",
                "Install the server and the add-on in the same version.",
            )
        return weights

    def render(
        self,
        source: str,
        frames: Sequence[int],
        weights: npt.NDArray[np.float32],
        keep: Callable[[Frame], None],
        progress: Progress,
    ) -> Steps[None]:
        """Frames as PNG files, in order, each handed to `keep`. weights [frames, channels]."""
        progress.stage, progress.done, progress.total, progress.eta = "Rendering", 0, len(frames), -1.0

        def hear(event: events.JobEvent) -> None:
            if isinstance(event, Frame):
                keep(event)

        yield from self.answers(self._client().render(source, frames, weights), progress, hear)


def _not_running() -> EDTalkError:
    return EDTalkError(
        ErrorCode.SERVER_UNREACHABLE, "The EDTalk server is not running.", "Start it in the EDTalk panel."
    )


def _nothing() -> None:
    """There is nobody to ask."""
