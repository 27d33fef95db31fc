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

from .blobs import Assembly

log = logging.getLogger(__name__)

MAX_BACKLOG = 1000
SILENCE_BEFORE_PROBE_S = 5.0
_DISPENSABLE = (Pong, Progress, Refused)
"""What a reader that is far behind can do without: losing it breaks no promise about jobs."""


@dataclass(eq=False)
class ClientConnection:
    """One connection. `client` is empty until it has said hello; `pid` is 0 for one on another machine."""

    identity: bytes
    client: str = ""
    pid: int = 0
    heard: float = 0.0
    probed: float = 0.0
    backlog: deque[list[Buffer]] = field(default_factory=deque)
    assembly: Assembly = field(default_factory=Assembly)

    @property
    def program(self) -> str:
        """The program behind it: its process on this machine, else its name; empty until it has said hello."""
        return f"process {self.pid}" if self.pid and self.client else self.client


class ClientConnections:
    """All connections of a ROUTER socket. The socket must be `router_mandatory`: it then tells who has gone."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._peers: dict[bytes, ClientConnection] = {}
        self._gone: list[ClientConnection] = []

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter(tuple(self._peers.values()))

    def heard_of(self, identity: bytes, now: float) -> ClientConnection:
        """The connection a message came from."""
        peer = self._peers.setdefault(identity, ClientConnection(identity))
        peer.heard = now
        return peer

    def get(self, identity: bytes) -> ClientConnection | None:
        """The connection, if it is still there."""
        return self._peers.get(identity)

    def programs(self) -> set[str]:
        """Who is connected, as far as it is known; a program may have several connections."""
        return {peer.program for peer in self._peers.values()} - {""}

    def send(self, peer: ClientConnection, message: Message) -> None:
        """Send, or keep for later what must arrive; a connection that never reads is given up."""
        if peer.identity not in self._peers:
            return
        frames = codec.encode(message)
        if not peer.backlog and self._try(peer, frames):
            return
        if isinstance(message, _DISPENSABLE):
            return
        peer.backlog.append(frames)
        if len(peer.backlog) > MAX_BACKLOG:
            self._drop(peer, "it does not read what it asked for")

    def flush(self) -> bool:
        """Send what was kept; True when nothing is left."""
        for peer in self:
            while peer.backlog and self._try(peer, peer.backlog[0]):
                if peer.backlog:
                    peer.backlog.popleft()
        return not any(peer.backlog for peer in self)

    def probe_silent(self, now: float, message: Message) -> None:
        """Write to those that were silent for long: only so it shows that one has vanished."""
        for peer in self:
            if now - max(peer.heard, peer.probed) > SILENCE_BEFORE_PROBE_S:
                peer.probed = now
                self.send(peer, message)

    def take_gone(self) -> list[ClientConnection]:
        """The connections that have vanished since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def _try(self, peer: ClientConnection, frames: list[Buffer]) -> bool:
        """True when the message needs no more care: it is sent, or its reader is gone."""
        try:
            self._socket.send_multipart([peer.identity, *frames], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._drop(peer, "it has vanished")
        return True

    def _drop(self, peer: ClientConnection, reason: str) -> None:
        log.info("connection of %s is given up: %s", peer.client or "an unknown client", reason)
        peer.backlog.clear()
        if self._peers.pop(peer.identity, None):
            self._gone.append(peer)
