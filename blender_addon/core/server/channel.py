# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to the server: messages out, messages in, and whether it still stands. No bpy, and never
waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from shared_protocol import codec
from shared_protocol.connection import Connection
from shared_protocol.messages import Message

_BROKEN = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Lane:
    """A DEALER that is encrypted with the keys of the connection file."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], connection: Connection) -> None:
        self.welcomed = False
        self.takes_parts = False
        """Can the server take files in parts?"""
        self.waiting_for_blobs: deque[Any] = deque()
        self.parcels: deque[tuple[Any, Iterator[Message]]] = deque()
        """Operations whose files are on their way, with the messages that these still need."""
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = 0  # what we send is bounded by our own operations
        self.socket.rcvhwm = 0  # credit bounds what comes; libzmq 4.3.5 can abort the process at a limit
        self.socket.reconnect_ivl = -1  # another server at the same address is not our server
        self.socket.curve_serverkey = connection.server_public.encode()
        self.socket.curve_publickey = connection.client_public.encode()
        self.socket.curve_secretkey = connection.client_secret.encode()
        self._monitor = self.socket.get_monitor_socket(_BROKEN)
        self._broken = False
        self.socket.connect(connection.endpoint)

    def send(self, message: Message) -> None:
        """Hand a message to the transport. Raises `codec.CodecError` when it cannot be sent as it is."""
        frames = codec.encode(message)
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)  # copied: otherwise pyzmq starts a thread
        except zmq.Again:  # there is no limit to reach: the connection is gone
            self._broken = True

    def receive(self) -> Message | None:
        """The next message; None when none has arrived. Raises `codec.CodecError` for one that is unknown
        here."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        return codec.decode([frame.buffer for frame in frames])

    def is_broken(self) -> bool:
        """Has the connection come to an end? It is not made again."""
        while not self._broken and self._monitor.poll(0):
            self._broken = bool(parse_monitor_message(self._monitor.recv_multipart())["event"] & _BROKEN)
        return self._broken

    def register(self, poller: zmq.Poller) -> None:
        """Let a poller wake for anything that happens here."""
        poller.register(self.socket, zmq.POLLIN)
        if not self._broken:
            poller.register(self._monitor, zmq.POLLIN)

    def close(self) -> None:
        """Drop the connection."""
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=0)
