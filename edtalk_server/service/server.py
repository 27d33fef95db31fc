"""The transport loop: the one thread that owns the sockets. It waits for messages only, never for work."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

import zmq

import shared_protocol
from shared_protocol.codec import MAX_BLOB_BYTES, MAX_HEADER_BYTES
from shared_protocol.connection import Connection
from shared_protocol.processes import process_start

from .authentication import Gatekeeper, Keys, protect
from .backend import Backend
from .connections import ClientConnections
from .dispatcher import Dispatcher
from .drawing import Drawing, OwnDrawing
from .handlers import WorkerKind
from .handshakes import Handshakes
from .parents import Parents
from .worker import Worker

log = logging.getLogger(__name__)

_TICK_MS = 250
"""Milliseconds that the loop waits for a message at most."""
_BACKLOG_TICK_MS = 10
"""The same while messages wait to be sent."""
_MESSAGES_PER_TURN = 32
"""Messages that are read before the rest of the loop has its turn."""
_HOUSEKEEPING_S = 0.5
"""Seconds between two looks at silent clients and at the parent processes."""
_FAREWELL_S = 1.0
"""Seconds that the last messages may take."""
_LINGER_S = 0.2
"""Seconds that the server goes on reading after its last message was sent."""
_WORKER_TIMEOUT_S = 5.0
"""Seconds that a worker's running step may take at the end."""
_WAKE_ENDPOINT = "inproc://edtalk-wake"


class Server:
    """Binds when it is made (`connection` tells where) and serves in `run`."""

    def __init__(
        self,
        backend: Backend,
        endpoint: str = "tcp://127.0.0.1:*",
        parent_pids: Iterable[int] = (),
        release_after: float = 0.0,
        drawing: Drawing | None = None,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        keys = Keys.generate()
        self._gatekeeper = Gatekeeper(self._context, keys)
        self._router = _router(self._context, keys)
        self._handshakes = Handshakes(self._context, self._router)
        self._router.bind(endpoint)
        self.connection = _connection(str(self._router.getsockopt_string(zmq.LAST_ENDPOINT)), keys, drawing)
        self._port = int(self.connection.endpoint.rpartition(":")[2])
        self._drawing = drawing or OwnDrawing(backend)
        counts = dict.fromkeys(WorkerKind, 1) | {WorkerKind.DRAWING: self._drawing.workers}
        self._wake_signal = _WakeSignal(self._context, threads=1 + sum(counts.values()))
        self._connections = ClientConnections(self._router)
        self._parents = Parents(parent_pids)
        self._workers = {
            kind: tuple(
                Worker(self._wake_signal.notify, self._wake_signal.leave, kind.value) for _ in range(count)
            )
            for kind, count in counts.items()
        }
        self._dispatcher = Dispatcher(
            backend,
            self._connections,
            self._workers,
            self._parents,
            time.monotonic(),
            release_after,
            self._drawing,
        )
        self._next_housekeeping = 0.0

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until asked to end. `on_ready` is called once, when the model is loaded.

        Raises the `EDTalkError` of a model that cannot be loaded.
        """
        announced = False
        try:
            while not self._dispatcher.stop_requested:
                self._turn()
                if not announced and self._dispatcher.state in ("ready", "busy"):
                    announced = True
                    on_ready()
                if self._dispatcher.failure:
                    raise self._dispatcher.failure
        finally:
            self._shut_down()

    def close(self) -> None:
        """End a server that does not run."""
        self._shut_down()

    def stop(self, *_signal: int | FrameType | None) -> None:
        """Ask the loop to end; also a signal handler."""
        self._dispatcher.stop_requested = True

    def stop_on_signals(self) -> None:
        """End cleanly on SIGTERM and SIGINT. Call it in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def _turn(self) -> None:
        poller = zmq.Poller()
        own = (self._gatekeeper.socket, self._router, self._wake_signal.socket, self._handshakes.socket)
        for socket in own:
            poller.register(socket, zmq.POLLIN)
        waiting = not self._connections.flush()
        ready = dict(poller.poll(_BACKLOG_TICK_MS if waiting else _TICK_MS))
        now = time.monotonic()
        if self._gatekeeper.socket in ready:
            self._gatekeeper.answer()
        if self._wake_signal.socket in ready:
            self._wake_signal.drain()
        for outcome in [end for worker in self._all_workers() for end in worker.outcomes()]:
            self._dispatcher.finish(outcome, now)
        if self._router in ready:
            self._receive(now)
        if self._handshakes.socket in ready:  # after the messages: they tell who has shown the key
            self._handshakes.look(self._port)
        self._keep_house(now)
        self._dispatcher.forget_gone()
        self._dispatcher.feed(now)
        self._dispatcher.announce_state(now)

    def _all_workers(self) -> list[Worker]:
        return [worker for some in self._workers.values() for worker in some]

    def _receive(self, now: float) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            try:
                identity, *frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if not self._connections.get(identity.bytes):
                self._handshakes.shown(_descriptor(frames))
            connection = self._connections.receive_from(identity.bytes, _address(frames), now)
            self._dispatcher.receive(connection, [frame.buffer for frame in frames], now)

    def _keep_house(self, now: float) -> None:
        if now < self._next_housekeeping:
            return
        self._next_housekeeping = now + _HOUSEKEEPING_S
        self._dispatcher.probe(now)
        self._dispatcher.tell_news(now)
        if self._parents.all_gone():
            log.info("the processes this server was started for have ended")
            self.stop()

    def _shut_down(self) -> None:
        """Tell every open job its end, within a second; then stop."""
        self._dispatcher.stop_requested = True
        self._dispatcher.cancel_all()
        self._dispatcher.announce_state(time.monotonic())
        self._flush_and_linger()
        self._handshakes.close()
        self._router.close(linger=int(_FAREWELL_S * 1000))
        self._gatekeeper.close()
        self._drawing.close()
        for worker in reversed(self._all_workers()):
            if not worker.stop(_WORKER_TIMEOUT_S):
                log.warning("the %s worker's last step outlives the server", worker.name)
        self._wake_signal.close()

    def _flush_and_linger(self) -> None:
        """Send what is left, and go on reading for a moment: if we closed with unread input, the system would discard
        last messages that the clients have not read yet."""
        start = time.monotonic()
        while (waited := time.monotonic() - start) < _FAREWELL_S:
            is_flushed = self._connections.flush()
            if is_flushed and waited > _LINGER_S:
                return
            if self._router.poll(_BACKLOG_TICK_MS):
                self._router.recv_multipart(copy=False)


class _WakeSignal:
    """Lets the workers wake the loop. Each worker's thread opens and closes a socket of its own.

    The last of loop and workers to end closes the context: a step may outlive the loop's patience.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], threads: int) -> None:
        self.socket = context.socket(zmq.PULL)
        self.socket.bind(_WAKE_ENDPOINT)
        self._context = context
        self._thread_local = threading.local()
        self._users, self._lock = threads, threading.Lock()

    def notify(self) -> None:
        """Wake the loop, from a worker's thread."""
        socket = getattr(self._thread_local, "socket", None)
        if socket is None:
            socket = self._thread_local.socket = self._context.socket(zmq.PUSH)
            socket.linger = 0
            socket.connect(_WAKE_ENDPOINT)
        with contextlib.suppress(zmq.Again):  # nobody reads any more: the server is ending
            socket.send(b"", zmq.NOBLOCK)

    def drain(self) -> None:
        """Read all signals."""
        while self.socket.poll(0):
            self.socket.recv()

    def leave(self) -> None:
        """End a worker, in its thread."""
        if socket := getattr(self._thread_local, "socket", None):
            socket.close(linger=0)
        self._release_context()

    def close(self) -> None:
        """End the loop, which has closed all other sockets."""
        self.socket.close(linger=0)
        self._release_context()

    def _release_context(self) -> None:
        with self._lock:
            self._users -= 1
            is_last = self._users == 0
        if is_last:
            self._context.term()


def _router(context: zmq.Context[zmq.Socket[bytes]], keys: Keys) -> zmq.Socket[bytes]:
    """Open the server's socket.

    Input is never held back (`rcvhwm` 0) and there are no ZMTP heartbeats: libzmq 4.3.5 aborts the whole process when a
    peer vanishes whose input is held back (libzmq pull request 4852). The loop reads without waiting, so little piles
    up; the system's keep-alive finds machines that are gone.
    """
    router = context.socket(zmq.ROUTER)
    router.tcp_keepalive = 1
    router.tcp_keepalive_idle = 30
    router.router_mandatory = True
    router.maxmsgsize = MAX_BLOB_BYTES + MAX_HEADER_BYTES
    router.rcvhwm = 0
    router.sndhwm = 256
    protect(router, keys)
    return router


def _address(frames: Sequence[zmq.Frame]) -> str:
    """Return the address that a message came from, as the system tells it; empty where it does not."""
    try:
        return str(frames[-1].get("Peer-Address")) if frames else ""
    except zmq.ZMQError:
        return ""


def _descriptor(frames: Sequence[zmq.Frame]) -> int:
    """Return the descriptor of the connection that a message came from; -1 where the system does not tell."""
    try:
        return int(frames[-1].get(zmq.SRCFD)) if frames else -1
    except zmq.ZMQError:
        return -1


def _connection(endpoint: str, keys: Keys, drawing: Drawing | None) -> Connection:
    return Connection(
        endpoint=endpoint,
        server_public=keys.server_public,
        client_public=keys.client_public,
        client_secret=keys.client_secret,
        pid=os.getpid(),
        started=process_start(os.getpid()) or "",
        version=shared_protocol.__version__,
        install=sys.prefix,
        workers=max(1, drawing.workers if drawing else 1),
    )
