"""Connections that have not shown their key: how many may wait, and for how long.

Any program of this machine can open connections to the server. Until one has shown the key it costs a descriptor and
some memory. The oldest are closed when too many wait, so that nobody can use up what the server needs to work.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import zmq
from zmq.utils.monitor import recv_monitor_message

HANDSHAKE_MS = 5000
"""Milliseconds in which a connection must show its key."""
MOST_WAITING = 128
"""Connections that may be about to show their key."""
_ENDPOINT = "inproc://edtalk-handshakes"
_ENDED = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
"""The events of handshakes do not tell the descriptor: whose key was right is known by its first message (`shown`)."""


class Handshakes:
    """Watches a bound socket: `socket` is readable when connections come and go, and `look` then closes the surplus."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], watched: zmq.Socket[bytes]) -> None:
        watched.handshake_ivl = HANDSHAKE_MS
        watched.monitor(_ENDPOINT, zmq.EVENT_ACCEPTED | _ENDED)
        self._watched = watched
        self.socket = context.socket(zmq.PAIR)
        self.socket.rcvhwm = 0  # a full queue would hold up the thread that reads from the network
        self.socket.connect(_ENDPOINT)
        self._waiting: dict[int, None] = {}
        """The descriptors of connections that have not shown their key, the oldest first."""

    def shown(self, descriptor: int) -> None:
        """Note that a message came from a connection: it has shown its key."""
        if descriptor not in self._waiting:
            self._take_note()  # of its beginning, which was reported before its message came
        self._waiting.pop(descriptor, None)

    def look(self, port: int) -> None:
        """Take note of what has happened; close the oldest connections to our `port` while too many wait."""
        self._take_note()
        while len(self._waiting) > MOST_WAITING:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            _hang_up(oldest, port)

    def _take_note(self) -> None:
        while self.socket.poll(0):
            happened = recv_monitor_message(self.socket)
            self._waiting.pop(happened["value"], None)
            if happened["event"] == zmq.EVENT_ACCEPTED:
                self._waiting[happened["value"]] = None

    def close(self) -> None:
        """Stop watching. Call it before the watched socket is closed."""
        self._watched.disable_monitor()
        self.socket.close(linger=0)


def _hang_up(descriptor: int, port: int) -> None:
    """End a connection to our port. Its socket stays libzmq's, which sees the end; a number that was given to another
    file meanwhile is left alone."""
    with suppress(OSError):
        copy = os.dup(descriptor)
        try:
            connection = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            raise
        with connection:
            if connection.getsockname()[1] == port:
                connection.shutdown(socket.SHUT_RDWR)
