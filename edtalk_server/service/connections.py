"""The connections of the server: who they are, and sending to them without ever waiting or growing."""

from __future__ import annotations

import ipaddress
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

MAX_ASSEMBLED_BYTES = 512 * 1024 * 1024
"""Bytes of all files that arrive in parts and are not complete."""
MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""Bytes that wait for a connection to read them, from which on its long jobs pause."""
MAX_BACKLOG = 1000
"""Messages kept for a connection that does not read; one with more is given up."""
SILENCE_BEFORE_PROBE_S = 5.0
"""Seconds of silence after which the server writes to a connection to find out whether it is still there."""
_DISPENSABLE = (Pong, Progress, Refused)
"""Messages that a slow reader may miss: losing them breaks no promise about jobs."""


@dataclass(eq=False)
class ClientConnection:
    """One connection. `client` is empty until it has said hello; `pid` is 0 for a client on another machine.

    `is_here`: does the system say that it comes from this machine?
    """

    identity: bytes
    is_here: bool = False
    client: str = ""
    pid: int = 0
    last_received: float = 0.0
    last_probed: float = 0.0
    backlog: deque[list[Buffer]] = field(default_factory=deque)
    assembly: BlobAssembly = field(default_factory=BlobAssembly)

    @property
    def unread(self) -> int:
        """Bytes that wait to be sent."""
        return sum(len(frame) for frames in self.backlog for frame in frames)

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

    def receive_from(self, identity: bytes, address: str, now: float) -> ClientConnection:
        """Return the connection that a message came from, at a peer's `address`; a new one is added."""
        known = self._connections.get(identity)
        connection = known or ClientConnection(identity, self._is_here(address))
        self._connections[identity] = connection
        connection.last_received = now
        return connection

    def _is_here(self, address: str) -> bool:
        """Return whether an address is this machine's: the loopback, or the one that we listen at ourselves."""
        try:
            place = ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            return False
        mapped = getattr(place, "ipv4_mapped", None) or place
        host = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).removeprefix("tcp://").rpartition(":")[0]
        return mapped.is_loopback or str(mapped) == host.strip("[]")

    def get(self, identity: bytes) -> ClientConnection | None:
        """Return the connection if it is still there."""
        return self._connections.get(identity)

    def make_room(self, connection: ClientConnection, size: int) -> None:
        """Give up the unfinished files of others, the longest silent first, so that `size` more bytes fit."""
        others = [one for one in self if one is not connection and one.assembly.size]
        held = size + connection.assembly.size + sum(one.assembly.size for one in others)
        for other in sorted(others, key=lambda one: one.last_received):
            if held <= MAX_ASSEMBLED_BYTES:
                return
            log.info("giving up the unfinished file of %s: there is no room", other.client)
            held -= other.assembly.size
            other.assembly.drop()

    def is_behind(self, identity: bytes) -> bool:
        """Does a connection read so slowly that more for it would only fill memory?"""
        connection = self._connections.get(identity)
        return connection is not None and connection.unread > MAX_UNREAD_BYTES

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
