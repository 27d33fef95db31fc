# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's one connection: server process, client, and who waits for which answer. No bpy here.

`pump` is called by Blender's timer, or by a blocking loop; it never waits. Everything else only sends requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from shared_protocol.banks import BankLayout
from shared_protocol.connection import Connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop, Failed, Pong, Prepared

from ..tasks import Task, format_duration, translate_parts
from ..text.translate import iface_
from ..weights import layouts, mixing
from . import events
from .client import Client
from .discovery import ServerInstall, find_install
from .process import ServerProcess, ServerState
from .requests import Data

Listener = Callable[[events.JobEvent], None]


@dataclass(frozen=True)
class Bundle:
    """The model that the server runs. `identity` changes with its content."""

    title: str
    identity: str
    layout: BankLayout
    presets: mixing.Presets = field(default_factory=dict)

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Bundle:
        """From what the server says in its welcome. Raises `EDTalkError` when it cannot be read."""
        name, version = str(description.get("name", "")), str(description.get("version", ""))
        layout = layouts.layout_from_rows(description.get("bases", ()))
        title = f"{description.get('title') or name} {version}".strip()
        identity = str(description.get("digest") or f"{name} {version}")
        return cls(title, identity, layout, mixing.presets_from_rows(description.get("presets")))


@dataclass(frozen=True)
class ServerStatus:
    """The server for the panel: one line, Blender's name of an icon, whether it can be stopped, memory in words."""

    line: str
    icon: str
    can_stop: bool
    memory: str = ""


@dataclass(frozen=True)
class Memory:
    """Bytes: of the server's process, what it holds of the accelerator's, what the accelerator has (0: none)."""

    process: int
    device: int
    capacity: int

    @property
    def words(self) -> str:
        """For people, in steps that do not flicker; empty while nothing is known."""
        if self.process == 0:
            return ""
        here = iface_("Memory: {size:.1f} GB", size=self.process / _GIGABYTE)
        if self.capacity == 0:
            return here
        device, capacity = self.device / _GIGABYTE, self.capacity / _GIGABYTE
        return here + iface_(", graphics {size:.1f} of {all:.1f} GB", size=device, all=capacity)


_GIGABYTE = 10**9
_WAITING = (ServerState.STARTING, ServerState.WARMING_UP, ServerState.STOPPING)
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
_END_ALONE = "shutdown.alone"
CLOSE_DEADLINE_S = 8.0
"""Longer than the server's process is given to end (ask, terminate, kill)."""


class ServerLink:
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
        if self.server.state is ServerState.STOPPING:
            self._take_news(budget_s)  # that others use the server is heard before it is pushed further
        self.server.poll(time.monotonic())
        self._follow_server()
        return self._take_news(budget_s)

    def _take_news(self, budget_s: float) -> bool:
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
        if wanted is not None and self.server.state is not ServerState.STOPPING:
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
            case events.Kept():
                self.server.kept(event.error)
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
    def status(self) -> ServerStatus:
        """What the panel shows of the server."""
        state = self.server.state
        age = self.server.seconds_in_state(time.monotonic())
        health = self.client.health if self.client is not None else Pong()
        doing = f", {translate_parts(health.activity)}" if health.activity and self.is_connected else ""
        if state not in _WAITING:
            age -= age % 60  # a line that changes each second would have the window drawn each second
        since = f" ({format_duration(age)})" if age or state in _WAITING else ""
        line = iface_("Server: {state}", state=iface_(state.value)) + doing + since
        return ServerStatus(line, _ICONS.get(state, "RADIOBUT_OFF"), self.is_connected, self.memory.words)

    @property
    def memory(self) -> Memory:
        """What the server holds, as it said last."""
        health = self.client.health if self.client is not None else Pong()
        return Memory(health.memory, health.device_memory, health.device_capacity)

    @property
    def others(self) -> int:
        """How many other programs use the server, as it said last."""
        return max(0, self.client.health.users - 1) if self.client is not None else 0

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
        """Begin to stop the server; one that somebody else started or uses is only let go. Never waits."""
        self.server.stop(time.monotonic(), self._ask_to_end)

    def end_server(self) -> None:
        """Begin to end the server, whoever started it. One that others use stays, and so does the connection.
        Never waits.

        Raises `EDTalkError` when somebody else started it and it cannot tell whether others use it: it is too old, or
        has not answered yet.
        """
        if self.server.is_adopted:
            if self.bundle is None:
                raise _silent()
            self._client(_END_ALONE)
        self.server.end(time.monotonic(), self._ask_to_end)

    def _ask_to_end(self) -> None:
        if self.client is not None:
            self.client.shutdown(alone=self.can(_END_ALONE))

    def close(self) -> None:
        """End everything, and wait until the server's process has ended."""
        self.stop_server()
        end = time.monotonic() + CLOSE_DEADLINE_S
        while self.is_connected and time.monotonic() < end:
            self.pump()
            time.sleep(0.01)
        self._disconnect()

    # --- requests with a listener --------------------------------------------------------------------------

    def knows(self, source: str) -> bool:
        """Does the server hold this source, as far as we know?"""
        return source in self._sources

    def request_source(self, portrait: Data, listener: Listener, crop: Crop | None = None) -> str:
        """Ask for a portrait to be prepared."""
        return self._listen(self._client().prepare(portrait, crop), listener)

    def request_preview(
        self,
        source: str,
        weights: npt.NDArray[np.float32],
        slot: str,
        listener: Listener,
        framing: str = "face",
    ) -> str:
        """Ask for one picture of weights [channels]; of those that wait, only the newest of a slot is made."""
        job = self._client().preview(source, weights, slot, framing)
        return self._listen(job, listener, source)

    def release(self) -> None:
        """Ask the server to give the graphics memory back; it takes it again for the next picture. Never waits."""
        self._client("release").release()

    def hold_results_back(self, hold: bool) -> None:
        """Take no more results of long jobs for now, or go on: unread frames hold the server back."""
        if self.client is not None:
            self.client.is_bulk_held = hold

    def can(self, capability: str) -> bool:
        """Does the server know this kind of request (`Welcome.capabilities`)?"""
        welcome = self.client.welcome if self.client is not None else None
        return welcome is not None and capability in welcome.capabilities

    def _client(self, capability: str = "") -> Client:
        """The client. Raises `EDTalkError` without a server, or with one that lacks the capability."""
        if self.client is None or self.bundle is None:
            raise not_running()
        if capability and not self.can(capability):
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                f"This EDTalk server is older than the add-on: it does not know “{capability}”.",
                "Update the EDTalk server.",
            )
        return self.client

    def _listen(self, job: str, listener: Listener, source: str = "") -> str:
        self._listeners[job] = listener
        self._asked_of[job] = source
        return job


def _silent() -> EDTalkError:
    return EDTalkError(
        ErrorCode.SERVER_UNREACHABLE,
        "The server has not answered yet, so nobody knows whether others use it.",
        "Wait until it is ready, then try again.",
    )


def not_running() -> EDTalkError:
    return EDTalkError(
        ErrorCode.SERVER_UNREACHABLE, "The EDTalk server is not running.", "Start it in the EDTalk panel."
    )
