"""The server's life as the add-on sees it, with real processes, good and bad ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from blender_addon.core.server.client import Client
from blender_addon.core.server.discovery import ServerInstall
from blender_addon.core.server.events import Failed, Lost, StateChanged
from blender_addon.core.server.process import ANSWER_DEADLINE_S, WARM_DEADLINE_S, ServerProcess, ServerState
from shared_protocol import connection, paths
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.processes import process_start
from tests import asking

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.executable)


@dataclass(frozen=True)
class FakeModelInstall(ServerInstall):
    """The real server, without a model."""

    def command(self, connection_file: Path, parent_pid: int) -> list[str]:
        return [*super().command(connection_file, parent_pid), "--fake"]


@dataclass(frozen=True)
class BadInstall(ServerInstall):
    """The server that misbehaves."""

    def command(self, connection_file: Path, parent_pid: int) -> list[str]:
        script = str(Path(__file__).with_name("bad_server.py"))
        code = f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); runpy.run_path({script!r}, run_name='__main__')"
        return [str(self.python), "-c", code, "--connection-file", str(connection_file)]


@pytest.fixture
def life() -> Iterator[Callable[[ServerInstall], ServerProcess]]:
    """A function that makes a `ServerProcess`; what it started is gone afterwards."""
    made: list[ServerProcess] = []

    def make(install: ServerInstall) -> ServerProcess:
        made.append(ServerProcess(find=lambda: install))
        return made[-1]

    yield make
    for process in made:
        for child in filter(None, [process._child, *process._dying]):
            child.kill()
            child.wait()  # type: ignore[attr-defined]


def follow(
    process: ServerProcess, condition: Callable[[], bool], client: Client | None = None
) -> list[object]:
    """Let real time pass until something is so; what the client told meanwhile."""
    told: list[object] = []
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, (process.state, process.error, told)
        process.poll(time.monotonic())
        if client is not None:
            news = client.tick()
            told += news
            for event in news:
                if isinstance(event, StateChanged):
                    process.observe(event.state)
        time.sleep(0.01)
    return told


def misbehave(monkeypatch: pytest.MonkeyPatch, manners: str, status: int = 3) -> BadInstall:
    """The bad server with these manners."""
    monkeypatch.setenv("BAD_SERVER", manners)
    monkeypatch.setenv("BAD_STATUS", str(status))
    return BadInstall(PYTHON)


def test_start_to_ready_to_stopped(life: Callable[[ServerInstall], ServerProcess]) -> None:
    process = life(FakeModelInstall(PYTHON))
    assert process.state is ServerState.STOPPED and not process.is_alive
    process.start(time.monotonic())
    assert process.state is ServerState.STARTING
    follow(process, lambda: process.connection is not None)
    assert process.is_alive and not process.is_answering
    assert process.connection is not None
    client = Client(process.connection)
    follow(process, lambda: process.state is ServerState.READY, client)
    assert process.is_ready and not process.is_adopted
    process.stop(time.monotonic(), client.shutdown)
    assert process.state is ServerState.STOPPING
    told = follow(process, lambda: process.state is ServerState.STOPPED, client)
    told += follow(process, lambda: client.is_lost, client)
    assert any(isinstance(event, StateChanged) and event.state == "stopping" for event in told)
    assert not list(paths.runtime_dir().glob("server-*.json")), "the server cleans up after itself"
    client.close()


def test_a_second_blender_uses_the_running_server_and_keeps_it(
    life: Callable[[ServerInstall], ServerProcess], tmp_path: Path
) -> None:
    """It ends when the last of both has ended, however they died."""
    first_blender = subprocess.Popen([str(PYTHON), "-c", "import time; time.sleep(600)"])
    second_blender = subprocess.Popen([str(PYTHON), "-c", "import time; time.sleep(600)"])
    file = paths.runtime_dir() / "server-of-the-first.json"
    with (tmp_path / "output.txt").open("wb") as log:
        command = FakeModelInstall(PYTHON).command(file, first_blender.pid)
        server = subprocess.Popen(command, stdout=log, stderr=log)
    process = life(FakeModelInstall(PYTHON))
    end = time.monotonic() + 60
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.start(time.monotonic())
    assert process.is_adopted and process.connection is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: second_blender.pid)
        client = Client(process.connection)
    client.wait_until_ready(20)
    first_blender.kill()
    first_blender.wait()
    time.sleep(1.5)
    assert server.poll() is None, "the second Blender still uses it"
    second_blender.kill()
    second_blender.wait()
    assert server.wait(30) == 0
    client.close()


def test_an_adopted_server_that_ends_is_replaced_by_an_own_one(
    life: Callable[[ServerInstall], ServerProcess], tmp_path: Path
) -> None:
    file = paths.runtime_dir() / "server-of-somebody.json"
    with (tmp_path / "output.txt").open("wb") as log:
        server = subprocess.Popen(FakeModelInstall(PYTHON).command(file, os.getpid()), stdout=log, stderr=log)
    process = life(FakeModelInstall(PYTHON))
    end = time.monotonic() + 60
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.start(time.monotonic())
    assert process.is_adopted
    server.kill()
    server.wait()
    follow(process, lambda: process.connection is not None and not process.is_adopted)
    assert process.connection is not None and process.connection.pid != server.pid
    assert not file.exists(), "what a killed server left behind is cleared away"


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGSTOP"])
def test_whatever_happens_to_the_server_every_job_ends_and_another_server_comes(
    life: Callable[[ServerInstall], ServerProcess], how: str
) -> None:
    process = life(FakeModelInstall(PYTHON))
    process.start(time.monotonic())
    follow(process, lambda: process.connection is not None)
    assert process.connection is not None
    first = process.connection
    clock = [time.monotonic()]
    client = Client(first, clock=lambda: clock[0])
    follow(process, lambda: process.is_ready, client)
    os.kill(first.pid, getattr(signal, how))
    job = client.start(*asking.prepare(b"a portrait that nobody will see"))
    told: list[object] = []
    while not client.is_lost:
        clock[0] += 0.4  # the client's own clock: a silent server is given up after some seconds of it
        told += client.tick()
        time.sleep(0.005)
    told += client.tick()
    ends = [event for event in told if getattr(event, "job", None) == job]
    assert len(ends) == 1 and isinstance(ends[0], Failed)
    assert ends[0].code == ErrorCode.SERVER_UNREACHABLE
    assert isinstance(told[-1], Lost)
    later = client.start(*asking.prepare(b"another"))
    assert [type(event) for event in client.tick()] == [Failed], f"{later}: a lost client fails at once"
    if how == "SIGTERM":
        client.close()
        return  # asked to end from outside, with success: that is no accident
    process.lost(time.monotonic(), client.error)  # type: ignore[arg-type]
    follow(process, lambda: process.connection is not None and process.connection.pid != first.pid)
    client.close()


def test_a_server_that_says_why_it_cannot_run_is_quoted_and_not_tried_again(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = life(misbehave(monkeypatch, "garbage,dies", status=1))
    process.start(time.monotonic())
    follow(process, lambda: process.state is ServerState.FAILED)
    assert process.error is not None
    assert "The model has a hole. Mend it." in process.error.cause


def test_a_server_that_keeps_dying_is_given_up_in_words(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned = []
    process = life(misbehave(monkeypatch, "dies"))
    spawn = process._spawn
    process._spawn = lambda command, output: (spawned.append(command), spawn(command, output))[1]
    now = 1000.0
    process.start(now)
    while process.state is not ServerState.FAILED:
        now += 0.02
        process.poll(now)
        time.sleep(0.002)
    assert len(spawned) == 6
    assert process.error is not None
    assert "Gave up, because" in process.error.cause and "Mend it." in process.error.cause


def test_a_server_that_never_comes_up_has_a_deadline(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = life(misbehave(monkeypatch, "silent"))
    process.start(0.0)
    assert process.poll(ANSWER_DEADLINE_S - 1) is ServerState.STARTING
    assert process.poll(ANSWER_DEADLINE_S + 1) is ServerState.FAILED
    assert process.error is not None and "did not answer in 121 seconds" in process.error.cause


def test_a_model_that_never_gets_ready_has_a_deadline(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = life(misbehave(monkeypatch, "silent"))
    process.start(0.0)
    process.observe("warming")
    assert process.poll(WARM_DEADLINE_S - 1) is ServerState.WARMING_UP
    assert process.poll(WARM_DEADLINE_S + 1) is ServerState.FAILED


def test_a_connection_file_of_a_dead_process_is_never_used(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = life(misbehave(monkeypatch, "stale"))
    process.start(time.monotonic())
    assert process._file is not None
    follow(process, process._file.with_suffix(".up").exists)
    process.poll(time.monotonic())
    assert process.connection is None and process.state is ServerState.STARTING


def test_somebody_else_at_the_address_is_not_talked_to(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys do not fit: nothing is sent, the wait has an end, every job fails."""
    process = life(misbehave(monkeypatch, "mute"))
    process.start(time.monotonic())
    follow(process, lambda: process.connection is not None)
    assert process.connection is not None
    clock = [0.0]
    client = Client(process.connection, clock=lambda: clock[0])
    job = client.start(*asking.prepare(b"portrait"))
    told: list[object] = []
    while not client.is_lost:
        clock[0] += 0.4
        told += client.tick()
    told += client.tick()
    assert [type(event) for event in told if getattr(event, "job", "") == job] == [Failed]
    client.close()


@pytest.mark.parametrize("manners", ["silent", "silent,deaf"])
def test_stop_is_ask_then_terminate_then_kill(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch, manners: str
) -> None:
    process, asked = life(misbehave(monkeypatch, manners)), []
    process.start(0.0)
    assert process._file is not None
    follow_up = process._file.with_suffix(".up")
    end = time.monotonic() + 30
    while not follow_up.exists() and time.monotonic() < end:
        time.sleep(0.01)
    child = process._child
    process.stop(10.0, lambda: asked.append(1))
    assert process.poll(12.9) is ServerState.STOPPING and asked == [1]
    process.poll(13.1)
    if manners == "silent":
        assert child.wait(20) == -signal.SIGTERM  # type: ignore[union-attr]
    else:
        assert process.poll(15.9) is ServerState.STOPPING
        process.poll(16.1)
        assert child.wait(20) == -signal.SIGKILL  # type: ignore[union-attr]
    assert process.poll(16.2) is ServerState.STOPPED
    assert asked == [1]


def test_without_an_installed_server_the_state_says_so() -> None:
    process = ServerProcess()
    process.start(0.0)
    assert process.state is ServerState.NOT_INSTALLED
    assert process.error is not None
    assert "not installed" in process.error.cause and "Install Server" in process.error.fix


def test_a_server_that_is_too_old_is_not_restarted_for_ever(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = life(misbehave(monkeypatch, "silent"))
    process.start(0.0)
    old = EDTalkError(ErrorCode.VERSION_MISMATCH, "The server is too old.", "Update the server.")
    process.lost(1.0, old)
    assert (process.state, process.error) == (ServerState.FAILED, old)


def test_servers_of_another_install_are_left_alone(
    life: Callable[[ServerInstall], ServerProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    me, elsewhere = os.getpid(), str(tmp_path / "another environment")
    foreign = connection.Connection(
        "tcp://127.0.0.1:1", "k", "k", "k", me, process_start(me) or "", install=elsewhere
    )
    connection.write(connection.default_path(), foreign)
    process = life(misbehave(monkeypatch, "silent"))
    process.start(0.0)
    assert not process.is_adopted and process.is_alive
