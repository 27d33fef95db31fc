"""The transport loop: the one thread that owns the sockets. It waits for messages only, never for work."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
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
from .parents import Parents
from .worker import Worker

log = logging.getLogger(__name__)

_TICK_MS = 250
_BACKLOG_TICK_MS = 10
_AT_ONCE = 32
_HOUSEKEEPING_S = 0.5
_FAREWELL_S = 1.0
_LAST_WORDS_S = 0.2
_WORKER_PATIENCE_S = 5.0
_WAKE_ENDPOINT = "inproc://edtalk-wake"


class Server:
    """Binds on construction (`connection` says where), serves in `run`."""

    def __init__(
        self,
        backend: Backend,
        endpoint: str = "tcp://127.0.0.1:*",
        parent_pids: Iterable[int] = (),
        release_after: float = 0.0,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        keys = Keys.generate()
        self._gatekeeper = Gatekeeper(self._context, keys)
        self._router = _router(self._context, keys)
        self._router.bind(endpoint)
        self.connection = _connection(str(self._router.getsockopt_string(zmq.LAST_ENDPOINT)), keys)
        self._alarm = _Alarm(self._context, workers=2)
        self._peers = ClientConnections(self._router)
        self._parents = Parents(parent_pids)
        self._worker = Worker(self._alarm.ring, self._alarm.leave)
        self._files = Worker(self._alarm.ring, self._alarm.leave, "files")
        self._dispatcher = Dispatcher(
            backend,
            self._peers,
            self._worker,
            self._files,
            self._parents,
            time.monotonic(),
            release_after,
        )
        self._next_housekeeping = 0.0

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until asked to end. `on_ready` is called once, when the model is open.

        Raises the `EDTalkError` of a model that cannot be opened.
        """
        told = False
        try:
            while not self._dispatcher.stop_asked:
                self._turn()
                if not told and self._dispatcher.state in ("ready", "busy"):
                    told = True
                    on_ready()
                if self._dispatcher.failure:
                    raise self._dispatcher.failure
        finally:
            self._say_farewell()

    def stop(self, *_signal: int | FrameType | None) -> None:
        """Ask the loop to end (also as a signal handler)."""
        self._dispatcher.stop_asked = True

    def stop_on_signals(self) -> None:
        """End cleanly when the process is asked to terminate. Call it in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def _turn(self) -> None:
        poller = zmq.Poller()
        for socket in (self._gatekeeper.socket, self._router, self._alarm.bell):
            poller.register(socket, zmq.POLLIN)
        waiting = not self._peers.flush()
        ready = dict(poller.poll(_BACKLOG_TICK_MS if waiting else _TICK_MS))
        now = time.monotonic()
        if self._gatekeeper.socket in ready:
            self._gatekeeper.answer()
        if self._alarm.bell in ready:
            self._alarm.hush()
        for outcome in (*self._worker.outcomes(), *self._files.outcomes()):
            self._dispatcher.finish(outcome, now)
        if self._router in ready:
            self._receive(now)
        self._keep_house(now)
        self._dispatcher.forget_gone()
        self._dispatcher.feed(now)
        self._dispatcher.tell_state(now)

    def _receive(self, now: float) -> None:
        for _ in range(_AT_ONCE):
            try:
                identity, *frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            peer = self._peers.heard_of(identity.bytes, now)
            self._dispatcher.receive(peer, [frame.buffer for frame in frames], now)

    def _keep_house(self, now: float) -> None:
        if now < self._next_housekeeping:
            return
        self._next_housekeeping = now + _HOUSEKEEPING_S
        self._dispatcher.probe(now)
        if self._parents.all_gone():
            log.info("the processes this server was started for have ended")
            self.stop()

    def _say_farewell(self) -> None:
        """Every open job gets its end, within a second; then the process is free to go."""
        self._dispatcher.stop_asked = True
        self._dispatcher.cancel_all()
        self._dispatcher.tell_state(time.monotonic())
        self._listen_a_little()
        self._router.close(linger=int(_FAREWELL_S * 1000))
        self._gatekeeper.close()
        for worker in (self._files, self._worker):
            if not worker.stop(_WORKER_PATIENCE_S):
                log.warning("a step of the work goes on beyond the end of the server")
        self._alarm.close()

    def _listen_a_little(self) -> None:
        """Flush, and go on reading for a moment: closing with unread input would make the system throw away,
        on the clients' side, our last words that they have not read yet."""
        start = time.monotonic()
        while (waited := time.monotonic() - start) < _FAREWELL_S:
            done = self._peers.flush()
            if done and waited > _LAST_WORDS_S:
                return
            if self._router.poll(_BACKLOG_TICK_MS):
                self._router.recv_multipart(copy=False)


class _Alarm:
    """Lets the workers wake the loop: each has one socket, which its own thread makes and closes. Whoever of loop and
    workers is the last to end takes the context along: a step may take longer than the loop waits for it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], workers: int) -> None:
        self.bell = context.socket(zmq.PULL)
        self.bell.bind(_WAKE_ENDPOINT)
        self._context = context
        self._thread_local = threading.local()
        self._users, self._lock = workers + 1, threading.Lock()

    def ring(self) -> None:
        cord = getattr(self._thread_local, "cord", None)
        if cord is None:
            cord = self._thread_local.cord = self._context.socket(zmq.PUSH)
            cord.linger = 0
            cord.connect(_WAKE_ENDPOINT)
        with contextlib.suppress(zmq.Again):  # nobody listens any more: the server is ending
            cord.send(b"", zmq.NOBLOCK)

    def hush(self) -> None:
        while self.bell.poll(0):
            self.bell.recv()

    def leave(self) -> None:
        """A worker ends, in its thread."""
        if cord := getattr(self._thread_local, "cord", None):
            cord.close(linger=0)
        self._one_less()

    def close(self) -> None:
        """The loop ends; it has closed all other sockets."""
        self.bell.close(linger=0)
        self._one_less()

    def _one_less(self) -> None:
        with self._lock:
            self._users -= 1
            is_last = self._users == 0
        if is_last:
            self._context.term()


def _router(context: zmq.Context[zmq.Socket[bytes]], keys: Keys) -> zmq.Socket[bytes]:
    """The server's socket.

    What arrives is never held back (`rcvhwm` 0) and there are no ZMTP heartbeats: libzmq 4.3.5 aborts the
    whole process when a peer vanishes whose input is held back (libzmq pull request 4852). The loop reads
    without waiting, so little ever piles up; the system's keep-alive finds machines that are gone.
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


def _connection(endpoint: str, keys: Keys) -> Connection:
    return Connection(
        endpoint=endpoint,
        server_public=keys.server_public,
        client_public=keys.client_public,
        client_secret=keys.client_secret,
        pid=os.getpid(),
        started=process_start(os.getpid()) or "",
        version=shared_protocol.__version__,
        install=sys.prefix,
    )
