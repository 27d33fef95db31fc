"""The connections of the server: who they are, and sending to them without ever waiting or growing."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import zmq

from shared_protocol import codec
from shared_protocol.codec import Buffer
from shared_protocol.messages import Message, Pong, Progress, Refused

from .blobs import BlobAssembly

log = logging.getLogger(__name__)

MAX_BACKLOG = 1000
"""Messages kept for a connection that does not read; one with more is given up."""
SILENCE_BEFORE_PROBE_S = 5.0
"""Seconds of silence after which the server writes to a connection to find out whether it is still there."""
_DISPENSABLE = (Pong, Progress, Refused)
"""Messages that a slow reader may miss: losing them breaks no promise about jobs."""


@dataclass(eq=False)
class ClientConnection:
    """One connection. `client` is empty until it has said hello; `pid` is 0 for a client on another machine."""

    identity: bytes
    client: str = ""
    pid: int = 0
    last_received: float = 0.0
    last_probed: float = 0.0
    backlog: deque[list[Buffer]] = field(default_factory=deque)
    assembly: BlobAssembly = field(default_factory=BlobAssembly)

    @property
    def program(self) -> str:
        """The program behind it: its process on this machine, else its name; empty until it has said hello."""
        return f"process {self.pid}" if self.pid and self.client else self.client


class ClientConnections:
    """All connections of a ROUTER socket. The socket must be `router_mandatory`, which reveals who has gone."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._connections: dict[bytes, ClientConnection] = {}
        self._gone: list[ClientConnection] = []

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter(tuple(self._connections.values()))

    def receive_from(self, identity: bytes, now: float) -> ClientConnection:
        """Return the connection that a message came from; a new one is added."""
        connection = self._connections.setdefault(identity, ClientConnection(identity))
        connection.last_received = now
        return connection

    def get(self, identity: bytes) -> ClientConnection | None:
        """Return the connection if it is still there."""
        return self._connections.get(identity)

    def programs(self) -> set[str]:
        """Return the programs that are connected and have said hello; a program may have several connections."""
        return {connection.program for connection in self._connections.values()} - {""}

    def send(self, connection: ClientConnection, message: Message) -> None:
        """Send a message, or keep it for later if it must arrive. A connection that never reads is given up."""
        if connection.identity not in self._connections:
            return
        frames = codec.encode(message, replace_unsendable=True)
        if not connection.backlog and self._try_to_send(connection, frames):
            return
        if isinstance(message, _DISPENSABLE):
            return
        connection.backlog.append(frames)
        if len(connection.backlog) > MAX_BACKLOG:
            self._drop(connection, "it does not read what it asked for")

    def flush(self) -> bool:
        """Send what was kept. Return True when nothing is left."""
        for connection in self:
            while connection.backlog and self._try_to_send(connection, connection.backlog[0]):
                if connection.backlog:
                    connection.backlog.popleft()
        return not any(connection.backlog for connection in self)

    def probe_silent(self, now: float, message: Message) -> None:
        """Write to connections that were silent for long: only writing reveals that one has vanished."""
        for connection in self:
            if now - max(connection.last_received, connection.last_probed) > SILENCE_BEFORE_PROBE_S:
                connection.last_probed = now
                self.send(connection, message)

    def take_gone(self) -> list[ClientConnection]:
        """Return the connections that have vanished since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def _try_to_send(self, connection: ClientConnection, frames: list[Buffer]) -> bool:
        """Return True when the message needs no more care: it was sent, or its reader is gone."""
        try:
            self._socket.send_multipart([connection.identity, *frames], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._drop(connection, "it has vanished")
        return True

    def _drop(self, connection: ClientConnection, reason: str) -> None:
        log.info("giving up the connection of %s: %s", connection.client or "an unknown client", reason)
        connection.backlog.clear()
        if self._connections.pop(connection.identity, None):
            self._gone.append(connection)
