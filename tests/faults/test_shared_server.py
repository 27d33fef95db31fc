"""A server that several programs use, with real processes: who may restart it, and who must not end it for others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_server_life import PYTHON, FakeModelInstall

from blender_addon.core.server.process import FOREIGN_DEADLINE_S, ServerState
from blender_addon.core.server.session import Session
from blender_addon.core.tasks import Progress, Steps
from shared_protocol import connection
from shared_protocol.errors import EDTalkError, ErrorCode

ROOT = Path(__file__).resolve().parents[2]
USER = """
import sys
from blender_addon.core.server.client import Client
from shared_protocol import connection
from shared_protocol.messages import ListBundles
client = Client(next(connection.find_live()), "blender")
client.wait_until_ready(60)
for line in sys.stdin:
    print(type(client.wait(client.start(ListBundles()), 60)[-1]).__name__, flush=True)
client.close()
"""
"""Another program that uses the running server: for each line it asks for something."""


class User:
    """Another program that uses the server that runs."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", USER]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
        assert self.is_served()

    def is_served(self) -> bool:
        """Does the server answer it?"""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return self.process.stdout.readline() == "Done\n"

    def leave(self) -> None:
        """Close, as when Blender is quit."""
        self.process.communicate()


@pytest.fixture
def user() -> Iterator[Callable[[], User]]:
    """A function that starts another program."""
    users: list[User] = []

    def start() -> User:
        users.append(User())
        return users[-1]

    yield start
    for one in users:
        one.process.kill()
        one.leave()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`edtalk serve` in a terminal."""
    command = [str(PYTHON), "-m", "edtalk_server.cli", "serve", "--fake"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None and "ready" in process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def blender() -> Iterator[Callable[..., Session]]:
    """A function that makes the session of a Blender, with the options that its preferences have; ready."""
    sessions: list[Session] = []

    def start(*options: str) -> Session:
        session = Session(lambda: FakeModelInstall(PYTHON, options=options))
        sessions.append(session)
        finish(session, session.ready(Progress()))
        return session

    yield start
    for session in sessions:
        session.close()
        for child in session.server._dying:
            child.kill()
            child.wait()  # type: ignore[attr-defined]


def finish(session: Session, steps: Steps[object]) -> None:
    """Run steps to their end, pumping as Blender's timer does."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            next(steps)
        except StopIteration:
            return
        session.pump()
        time.sleep(0.005)
    raise TimeoutError(session.status.line)


def restart(session: Session) -> int:
    """Restart; the process of the server that runs then."""
    finish(session, session.restart(Progress()))
    return pid_of(session)


def pid_of(session: Session) -> int:
    assert session.server.connection is not None
    return session.server.connection.pid


def until(session: Session, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, session.status.line
        session.pump()
        time.sleep(0.005)


# --- restart -----------------------------------------------------------------------------------------------


def test_restart_ends_the_terminals_server_that_nobody_else_uses(
    terminal: subprocess.Popen[str], blender: Callable[..., Session]
) -> None:
    session = blender()
    assert session.server.is_adopted and pid_of(session) == terminal.pid
    assert restart(session) != terminal.pid
    assert terminal.wait(20) == 0, "it was asked, and ended well"
    assert session.is_ready and not session.server.is_adopted


def test_restart_of_what_another_uses_says_who_and_leaves_all_as_it_is(
    terminal: subprocess.Popen[str], blender: Callable[..., Session], user: Callable[[], User]
) -> None:
    session, other = blender(), user()
    with pytest.raises(EDTalkError, match=f"use this server: process {other.process.pid}") as caught:
        restart(session)
    assert caught.value.code is ErrorCode.SERVER_IN_USE and "Stop" in caught.value.fix
    assert session.is_ready and pid_of(session) == terminal.pid and session.trouble is None
    assert other.is_served()
    until(session, lambda: session.others == 1)
    other.leave()
    until(session, lambda: session.others == 0)
    assert restart(session) != terminal.pid


def test_a_server_of_ours_that_another_uses_is_not_restarted_either(
    blender: Callable[..., Session], user: Callable[[], User]
) -> None:
    session, other = blender(), user()
    first = pid_of(session)
    with pytest.raises(EDTalkError, match="Other programs use this server"):
        restart(session)
    assert session.is_ready and pid_of(session) == first and not session.server.is_adopted
    assert other.is_served()


@pytest.mark.parametrize("is_ours", [True, False])
def test_with_settings_of_its_own_a_blender_leaves_the_shared_server_to_the_others(
    blender: Callable[..., Session], user: Callable[[], User], request: pytest.FixtureRequest, is_ours: bool
) -> None:
    if not is_ours:
        request.getfixturevalue("terminal")
    session, other = blender(), user()
    first = pid_of(session)
    session.server._find = lambda: FakeModelInstall(PYTHON, options=("--device", "cpu"))
    assert restart(session) != first and session.server.options == ("--device", "cpu")
    assert other.is_served()


def test_a_server_too_old_to_tell_who_uses_it_is_not_ended_for_all(
    terminal: subprocess.Popen[str], blender: Callable[..., Session]
) -> None:
    session = blender()
    assert session.client is not None and session.client.welcome is not None
    session.client.welcome = replace(session.client.welcome, capabilities=("prepare",))
    with pytest.raises(EDTalkError, match="older than the add-on"):
        restart(session)
    assert session.is_ready and terminal.poll() is None


def test_a_foreign_server_that_has_not_answered_is_not_ended(
    terminal: subprocess.Popen[str], blender: Callable[..., Session]
) -> None:
    """Nobody knows yet whether others use it, and it would end for them too."""
    session = Session(lambda: FakeModelInstall(PYTHON))
    try:
        os.kill(terminal.pid, signal.SIGSTOP)
        session.start_server()
        session.pump()
        assert session.server.is_adopted
        with pytest.raises(EDTalkError, match="has not answered yet"):
            session.end_server()
        os.kill(terminal.pid, signal.SIGCONT)
        finish(session, session.ready(Progress()))
        assert terminal.poll() is None
    finally:
        session.close()


def test_a_foreign_server_that_does_not_end_is_waited_for_but_not_for_ever(
    terminal: subprocess.Popen[str], blender: Callable[..., Session]
) -> None:
    session = blender()
    os.kill(terminal.pid, signal.SIGSTOP)
    session.end_server()
    begun = time.monotonic()
    assert session.server.poll(begun + FOREIGN_DEADLINE_S - 1) is ServerState.STOPPING
    assert session.server.poll(begun + FOREIGN_DEADLINE_S + 2) is ServerState.FAILED
    assert session.trouble is not None and f"process {terminal.pid}" in session.trouble[0]
    assert terminal.poll() is None, "it is not ours to kill"


# --- stop and quit -----------------------------------------------------------------------------------------


def test_who_started_the_server_may_stop_or_quit_and_others_go_on(
    blender: Callable[..., Session], user: Callable[[], User]
) -> None:
    session, other = blender(), user()
    first = pid_of(session)
    session.stop_server()
    until(session, lambda: session.server.state is ServerState.STOPPED)
    assert session.client is None and other.is_served()
    assert session.trouble is not None and str(other.process.pid) in session.trouble[0], "why it still runs"
    finish(session, session.ready(Progress()))
    assert pid_of(session) == first and session.server.is_adopted, "the same one, found again"
    session.close()
    assert other.is_served()


def test_a_slow_answer_of_a_busy_blender_does_not_kill_the_server_for_others(
    blender: Callable[..., Session], user: Callable[[], User]
) -> None:
    """The window stood still for longer than a server of our own is given to end."""
    session, other = blender(), user()
    session.stop_server()
    assert session.server._ladder is not None
    time.sleep(0.5)  # the answer is here by now, unread
    session.server._ladder.begun -= 60
    session.pump()
    assert session.server.state is ServerState.STOPPED and other.is_served()


def test_the_last_one_that_stops_ends_the_server(
    blender: Callable[..., Session], user: Callable[[], User]
) -> None:
    session, other = blender(), user()
    server = session.server.connection
    other.leave()
    until(session, lambda: session.others == 0)
    session.stop_server()
    until(session, lambda: session.server.state is ServerState.STOPPED)
    assert server is not None and not server.is_live()
    assert not list(connection.find_live())
