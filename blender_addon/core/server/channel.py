# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to the server: messages out, messages in, and whether it still stands. Never waits. No bpy here."""

from __future__ import annotations

import zmq
from zmq.utils.monitor import parse_monitor_message

from shared_protocol import codec
from shared_protocol.connection import Connection
from shared_protocol.messages import Message

from .uploads import UploadQueue

_BROKEN = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Channel:
    """A DEALER socket, encrypted with the keys of the connection file. `is_welcome`: the server has answered on it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], connection: Connection) -> None:
        self.is_welcome = False
        self.uploads = UploadQueue()
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = 0  # what we send is bounded by our own jobs
        self.socket.rcvhwm = 0  # credit bounds what comes; libzmq 4.3.5 can abort the process at a limit
        self.socket.reconnect_ivl = -1  # another server at the same address is not our server
        self.socket.curve_serverkey = connection.server_public.encode()
        self.socket.curve_publickey = connection.client_public.encode()
        self.socket.curve_secretkey = connection.client_secret.encode()
        self._monitor = self.socket.get_monitor_socket(_BROKEN)
        self._is_broken = False
        self.socket.connect(connection.endpoint)

    def send(self, message: Message) -> None:
        """Hand a message to the transport. Raises `codec.CodecError` when it cannot be encoded."""
        frames = codec.encode(message)
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)  # copied: otherwise pyzmq starts a thread
        except zmq.Again:  # there is no limit to reach: the connection is gone
            self._is_broken = True

    def receive(self) -> Message | None:
        """Return the next message, None when none has arrived. Raises `codec.CodecError` for an unknown one."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        return codec.decode([frame.buffer for frame in frames])

    def is_broken(self) -> bool:
        """Return whether the connection has ended. A broken one is never restored."""
        while not self._is_broken and self._monitor.poll(0):
            self._is_broken = bool(parse_monitor_message(self._monitor.recv_multipart())["event"] & _BROKEN)
        return self._is_broken

    def register(self, poller: zmq.Poller) -> None:
        """Let a poller wake for anything that happens here."""
        poller.register(self.socket, zmq.POLLIN)
        if not self._is_broken:
            poller.register(self._monitor, zmq.POLLIN)

    def close(self) -> None:
        """Drop the connection."""
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=0)
