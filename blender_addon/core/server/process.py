# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's life, seen from Blender: one state, each transition with a deadline. No bpy and no waiting
here.

Three facts are kept apart: the process lives (seen here), it answers and it is ready (told by whoever has the
client, through `observe` and `lost`). `poll` is called now and then and moves things on; the time is given.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import uuid
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from shared_protocol import connection, paths
from shared_protocol.connection import Connection, ConnectionFileError
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.processes import CANNOT_RUN_STATUS

from . import discovery
from .discovery import ServerInstall
from .policies import MOST_RESTARTS, RESTART_PAUSE_S, Push, RestartPolicy, StopLadder

log = logging.getLogger(__name__)

ANSWER_DEADLINE_S = 120.0
WARM_DEADLINE_S = 300.0
FOREIGN_DEADLINE_S = 15.0
"""Seconds that a server which somebody else started may take to end after it was asked."""
_ADOPTED_LOOK_S = 1.0
_MOST_CHANGES = 30
"""Changes of state that are kept for diagnostics."""
_ORDINARY = re.compile(r"\s*[\d-]+ [\d:,]+ (DEBUG|INFO) ")
"""How the lines of the server's log begin that tell of no fault."""
_DELIBERATE = (2, CANNOT_RUN_STATUS)
"""Exit statuses by which the server says that it cannot run like this; trying again would change nothing."""


class ServerState(StrEnum):
    """Where the server is in its life. The values are for people."""

    NOT_INSTALLED = "not installed"
    STOPPED = "stopped"
    STARTING = "starting"
    WARMING_UP = "warming up"
    READY = "ready"
    BUSY = "busy"
    STOPPING = "stopping"
    FAILED = "failed"


class StateChange(NamedTuple):
    """A state, and when it began (seconds of the clock that `poll` is given)."""

    state: ServerState
    since: float


_REPORTED = {"warming": ServerState.WARMING_UP, "ready": ServerState.READY, "busy": ServerState.BUSY}
_RUNNING = (ServerState.WARMING_UP, ServerState.READY, ServerState.BUSY)


class Child(Protocol):
    """The part of `subprocess.Popen` that is used here."""

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


Spawn = Callable[[list[str], IO[bytes]], Child]


class ServerProcess:
    """Starts, finds, watches and stops the server of this Blender.

    `connection` is set as soon as there is a server to connect to. `error` says what went wrong last, with a
    fix. `find` is how the install is found.
    """

    def __init__(
        self, find: Callable[[], ServerInstall] = discovery.find_install, spawn: Spawn | None = None
    ) -> None:
        self._find, self._spawn = find, spawn or _spawn
        self.state = ServerState.STOPPED
        self.error: EDTalkError | None = None
        self.connection: Connection | None = None
        self._install: ServerInstall | None = None
        self._child: Child | None = None
        self._file: Path | None = None
        self._policy = RestartPolicy()
        self._ladder: StopLadder | None = None
        self._ask: Callable[[], None] = _nothing
        self._if_refused = ServerState.STOPPED
        self._born = self._deadline = self._next_look_at = 0.0
        self._start_again_at: float | None = None
        self._shunned: set[int] = set()
        self._dying: list[Child] = []
        self.history: deque[StateChange] = deque(maxlen=_MOST_CHANGES)
        """How the state went, newest last, as `poll` saw it."""

    @property
    def is_alive(self) -> bool:
        """Is there a process?"""
        if self._child is not None:
            return self._child.poll() is None
        return self.connection is not None and self.connection.is_live()

    @property
    def is_answering(self) -> bool:
        """Has it answered?"""
        return self.state in _RUNNING

    @property
    def is_ready(self) -> bool:
        """Can it work?"""
        return self.state in (ServerState.READY, ServerState.BUSY)

    @property
    def is_adopted(self) -> bool:
        """Was it running before, started by somebody else?"""
        return self.connection is not None and self._child is None

    def seconds_in_state(self, now: float) -> float:
        """Return for how many seconds the state has been what it is."""
        known = self.history and self.history[-1].state is self.state
        return max(0.0, now - self.history[-1].since) if known else 0.0

    @property
    def options(self) -> tuple[str, ...]:
        """The options that the server was started with."""
        return self._install.options if self._install is not None else ()

    # --- what the user wants ------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Connect to a running server of this install, else start one. Do nothing while one runs."""
        if self.state in (ServerState.STARTING, ServerState.STOPPING, *_RUNNING):
            return
        self._policy, self.error = RestartPolicy(), None
        self._shunned.clear()
        self._begin(now)

    def wants_own(self) -> bool:
        """Return whether a server started now would be this Blender's own. Raises `EDTalkError` when none can be."""
        return bool(self._find().options)

    def stop(self, now: float, ask: Callable[[], None]) -> None:
        """End the server: ask (the client's `shutdown`), terminate, kill. One that was adopted is only let go, and so
        is one that others use (see `refuse_stop`)."""
        if self._child is None:
            self._forget(ServerState.STOPPED)
            return
        self._if_refused = ServerState.STOPPED
        self._stop(now, ask)

    def end(self, now: float, ask: Callable[[], None]) -> None:
        """End the server like `stop`, but ask an adopted one too. It stays if others use it; `error` says why."""
        if self.connection is None:
            self.stop(now, ask)
            return
        self._if_refused = self.state
        self._stop(now, ask)

    def refuse_stop(self, error: EDTalkError) -> None:
        """Note that the server refused to end because others use it."""
        if self.state is not ServerState.STOPPING:
            return
        self.state, self._ladder = self._if_refused, None
        if self.state is ServerState.STOPPED:
            self._let_go()
        self.error = error

    # --- what the client has heard ------------------------------------------------------------------------

    def observe(self, reported: str) -> None:
        """Note the state that the server reported (`messages.Pong.state`)."""
        if reported in _REPORTED and self.state in (ServerState.STARTING, *_RUNNING):
            self.state = _REPORTED[reported]

    def lost(self, now: float, error: EDTalkError) -> None:
        """Note that the client's connection has ended, or could not be made."""
        if self.state not in (ServerState.STARTING, *_RUNNING):
            return
        if error.code == ErrorCode.VERSION_MISMATCH:
            self._kill()
            self._fail(error)
            return
        if self.connection is not None and self._child is None:
            self._shunned.add(self.connection.pid)
            self._begin(now)
            return
        self.connection, self.error = None, error
        self._kill()  # it may live on without answering; `poll` sees its end and starts another
        self.state, self._deadline = ServerState.STARTING, now + ANSWER_DEADLINE_S

    # --- as time goes by ----------------------------------------------------------------------------------

    def poll(self, now: float) -> ServerState:
        """Look at the process and the clock; return the state afterwards."""
        self._dying = [child for child in self._dying if child.poll() is None]
        if self._start_again_at is not None and now >= self._start_again_at:
            self._begin(now)
        elif self.state is ServerState.STOPPING:
            self._push(now)
        elif self.state in (ServerState.STARTING, *_RUNNING):
            self._look(now)
        if not self.history or self.history[-1].state is not self.state:
            self.history.append(StateChange(self.state, now))
        return self.state

    def _look(self, now: float) -> None:
        if self._start_again_at is not None:
            return
        if self._child is None:
            if self._is_due(now) and not self.is_alive:
                self._begin(now)
        elif (status := self._child.poll()) is not None:
            self._died(now, status)
        elif self.state is ServerState.STARTING and self.connection is None and self._file is not None:
            self._look_for_file(self._file)
        if self.state in (ServerState.STARTING, ServerState.WARMING_UP):
            self._check_deadline(now)

    def _is_due(self, now: float) -> bool:
        """Is it time to look for the process? Asking the system about a foreign one may be slow."""
        if self._child is not None:
            return True
        due = now >= self._next_look_at
        if due:
            self._next_look_at = now + _ADOPTED_LOOK_S
        return due

    def _look_for_file(self, file: Path) -> None:
        if not file.exists():
            return
        try:
            self.connection = connection.read(file)
        except ConnectionFileError as error:
            self.error = error

    def _check_deadline(self, now: float) -> None:
        limit = self._deadline if self.state is ServerState.STARTING else self._born + WARM_DEADLINE_S
        if now > limit and self._start_again_at is None:
            seconds = f"{now - self._born:.0f}"
            cause = (
                f"The server did not answer in {seconds} seconds."
                if self.state is ServerState.STARTING
                else f"The server did not get ready in {seconds} seconds."
            )
            self._kill()
            self._fail(_failure(cause, self._last_words()))

    def _push(self, now: float) -> None:
        if self._ladder is None or (self._is_due(now) and not self.is_alive):
            self._forget(ServerState.STOPPED)
            return
        push = self._ladder.next(now)
        if push is Push.ASK:
            self._ask()
        elif self._child is None:  # not ours: it is asked, and no more
            if now > self._deadline:
                self._fail(_does_not_end(self.connection))
        elif push is Push.TERMINATE:
            self._child.terminate()
        elif push is Push.KILL:
            self._child.kill()

    # --- inside -------------------------------------------------------------------------------------------

    def _stop(self, now: float, ask: Callable[[], None]) -> None:
        self.state, self._start_again_at = ServerState.STOPPING, None
        self._ask, self._ladder, self._deadline = ask, StopLadder(now), now + FOREIGN_DEADLINE_S
        self.poll(now)

    def _let_go(self) -> None:
        """Leave the server, ours or not, to itself; its file is its own."""
        if self._child is not None:
            self._dying.append(self._child)  # so that its end is noticed one day
        self._child = self._file = None
        self._forget(ServerState.STOPPED)

    def _begin(self, now: float) -> None:
        """Adopt or spawn."""
        self._forget(ServerState.STARTING)
        self._born, self._deadline, self._start_again_at = now, now + ANSWER_DEADLINE_S, None
        try:
            self._install = self._find()
        except EDTalkError as error:
            self._forget(ServerState.NOT_INSTALLED)
            self.error = error
            return
        running = discovery.find_running(self._install)
        if running is not None and running.pid not in self._shunned:
            log.info("using the running server, process %d", running.pid)
            self.connection = running
            return
        self._start_child(self._install)

    def _start_child(self, install: ServerInstall) -> None:
        self._file = install.connection_file(f"{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            for folder in (self._file.parent, _words_file().parent):
                paths.make_private_folder(folder)
            with _words_file().open("wb") as output:
                self._child = self._spawn(install.command(self._file, os.getpid()), output)
        except OSError as error:
            cause = f"The server cannot be started ({error.strerror or error})."
            self._fail(EDTalkError(ErrorCode.SERVER_UNREACHABLE, cause, "Install the server again."))

    def _died(self, now: float, status: int) -> None:
        words = self._last_words()
        log.warning("the server has ended with status %d: %s", status, words)
        cause, was_ready = f"The server has ended (status {status}).", self.state is not ServerState.STARTING
        self._child = self.connection = None
        if status in _DELIBERATE:
            self._fail(_failure(cause, words))
        elif self._policy.may_restart(now - self._born):
            self.state, self.error = ServerState.STARTING, _failure(cause, words)
            self._start_again_at = now + RESTART_PAUSE_S
        else:
            self._fail(_failure(gave_up(was_ready), words))

    def _fail(self, error: EDTalkError) -> None:
        self._forget(ServerState.FAILED)
        self.error = error

    def _forget(self, state: ServerState) -> None:
        if self._file is not None and (self._child is None or self._child.poll() is not None):
            self._file.unlink(missing_ok=True)  # a killed server could not remove it
        self.state, self.connection, self._child, self._file = state, None, None, None
        self._start_again_at = self._ladder = None

    def _kill(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._dying.append(self._child)

    def _last_words(self) -> str:
        return last_words(_words_file())


def last_words(file: Path, most: int = 300) -> str:
    """Return the line of a log that says what went wrong: the last that begins with `error:`, else the last that is
    neither the word of a start nor of ordinary work."""
    try:
        with file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 16_384))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _is_ordinary(line)]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1][:most]


def _is_ordinary(line: str) -> bool:
    return line.lstrip().startswith('{"ready"') or bool(_ORDINARY.match(line))


def _words_file() -> Path:
    """Where the child's output goes: a file needs nobody to read it, and cannot fill up like a pipe."""
    return paths.log_dir() / f"server-started-by-{os.getpid()}.log"


def _failure(cause: str, words: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.SERVER_UNREACHABLE,
        f"{cause} It said: {words}" if words else cause,
        f"Look at the logs in {paths.log_dir()}, then start it again.",
    )


def gave_up(was_ready: bool) -> str:
    """Return why no further server is started, after the last one died at its start or at work."""
    if was_ready:
        return f"Gave up, because the server died {MOST_RESTARTS + 1} times within seconds of work."
    return f"Gave up, because the server died {MOST_RESTARTS + 1} times at its start."


def _does_not_end(server: Connection | None) -> EDTalkError:
    return EDTalkError(
        ErrorCode.TIMEOUT,
        f"The server (process {server.pid if server else 0}) was asked to end, and does not.",
        "End it where it was started.",
    )


def _nothing() -> None:
    """Nobody is there to be asked."""


def _spawn(command: list[str], output: IO[bytes]) -> Child:
    """Start the server apart from Blender's terminal, console window and Python settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        start_new_session=os.name == "posix",
    )
