"""What a user copies into a bug report says what is needed and nothing private."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from blender_addon.core.server.diagnostics import masked, report, tail
from blender_addon.core.server.discovery import ServerInstall, find_running
from blender_addon.core.server.process import ServerProcess, ServerState, StateChange
from blender_addon.core.server.status import Memory
from shared_protocol import connection
from shared_protocol.connection import Connection
from shared_protocol.processes import process_start


def test_versions_states_and_logs_stand_in_one_block() -> None:
    history = [StateChange(ServerState.STARTING, 100.0), StateChange(ServerState.READY, 190.0)]
    text = report({"Blender": "5.0.1"}, history, 220.0, {"server.log": ["one", "two"]}, "/home/anna")
    assert "Blender: 5.0.1" in text
    assert "2 min ago: starting" in text and "30 s ago: ready" in text
    assert text.index("server.log") < text.index("one") < text.index("two")


@pytest.mark.parametrize(
    ("home", "line", "shown"),
    [
        ("/home/anna", "cannot read /home/anna/film/face.png", "cannot read ~/film/face.png"),
        ("/home/anna", "/home/annabel/face.png", "/home/annabel/face.png"),
        ("C:\\Users\\Anna", "C:\\Users\\Anna\\film", "~\\film"),
        ("C:\\Users\\Anna", "c:/users/anna/film", "~/film"),
        ("C:\\Users\\Anna", '"C:\\\\Users\\\\Anna\\\\film"', '"~\\\\film"'),
        ("/", "/srv/film/face.png", "/srv/film/face.png"),
    ],
)
def test_the_home_folder_is_not_shown(home: str, line: str, shown: str) -> None:
    assert masked(line, home) == shown


@pytest.mark.parametrize(
    "line",
    [
        "https://anna:hunter2@mirror.example/model",
        "MY_TOKEN=hunter2",
        '{"password": "hunter2"}',
        "Authorization: Bearer hunter2",
        "the key is hunter2",
    ],
)
def test_secrets_are_not_shown(line: str) -> None:
    assert "hunter2" not in masked(line, "/home/anna", ["hunter2"] if "key is" in line else [])


def test_only_a_log_s_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("".join(f"line {number}\n" for number in range(20_000)))
    assert tail(log, 2) == ["line 19998", "line 19999"]
    assert tail(tmp_path / "none.log") == []


def test_memory_is_told_with_the_graphics_card_s_where_there_is_one() -> None:
    assert Memory(0, 0, 0).text == ""
    assert Memory(1_340_000_000, 0, 0).text == "Memory: 1.3 GB"
    assert Memory(1_340_000_000, 2 * 10**9, 8 * 10**9).text.endswith("graphics 2.0 of 8.0 GB")


def test_a_state_is_timed_from_when_it_began() -> None:
    class Running:
        def poll(self) -> int | None:
            return None

        def terminate(self) -> None: ...
        def kill(self) -> None: ...

    server = ServerProcess(lambda: ServerInstall(Path(sys.executable), options=("--device", "cpu")))
    server._spawn = lambda _command, _output: Running()
    server.poll(5.0)
    server.start(10.0)
    server.poll(11.0)
    server.observe("warming")
    server.poll(20.0)
    assert server.seconds_in_state(27.0) == 7.0
    assert [change.state.value for change in server.history] == ["stopped", "starting", "warming up"]


def test_a_server_with_options_is_one_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "run"))
    shared = ServerInstall(Path(sys.prefix) / "bin" / "python")
    chosen = ServerInstall(shared.python, options=("--bundle", "other"))
    keys = ("k" * 40,) * 3
    here = Connection("tcp://x", *keys, os.getpid(), process_start(os.getpid()), install=sys.prefix)
    connection.write(chosen.connection_file("1"), here)
    assert find_running(shared) is None, "another Blender does not get a server with options"
    connection.write(shared.connection_file("1"), here)
    assert find_running(shared) == here
    assert find_running(chosen) is None, "whoever chose options does not get just any server"
    assert chosen.command(tmp_path, 1)[-2:] == ["--bundle", "other"]
