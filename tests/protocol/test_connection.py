"""The connection file: found by the same rule on both sides, readable by its owner only, never believed when
stale."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from shared_protocol import connection, paths, processes
from shared_protocol.connection import Connection, ConnectionFileError

KEY = "k" * 40
posix = pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of this test's own."""
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def mine(**changes: object) -> Connection:
    """The connection of this very process."""
    me = Connection(
        "tcp://127.0.0.1:5", KEY, KEY, KEY, os.getpid(), processes.process_start(os.getpid()) or ""
    )
    return replace(me, **changes)  # type: ignore[arg-type]


def test_what_is_written_is_read(here: Path) -> None:
    path = connection.default_path()
    assert path.parent == here
    connection.write(path, mine(version="1.2", install="/somewhere"))
    assert connection.read(path) == mine(version="1.2", install="/somewhere")
    assert list(connection.find_live()) == [connection.read(path)]
    assert [file.name for file in here.iterdir()] == [path.name], "nothing half-written is left"


@posix
def test_only_the_owner_can_read_it(here: Path) -> None:
    path = connection.default_path()
    connection.write(path, mine())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(here.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_file_that_others_could_read_or_change_is_not_used(here: Path, mode: int) -> None:
    path = connection.default_path()
    connection.write(path, mine())
    path.chmod(mode)
    with pytest.raises(ConnectionFileError, match="other users"):
        connection.read(path)
    assert list(connection.find_live()) == []


@posix
def test_a_folder_that_was_open_is_closed(here: Path) -> None:
    here.mkdir(mode=0o777)
    here.chmod(0o777)
    connection.write(connection.default_path(), mine())
    assert stat.S_IMODE(here.stat().st_mode) == 0o700


@posix
@pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_not_used(here: Path) -> None:
    here.mkdir()
    os.chown(here, 12345, 12345)
    with pytest.raises(PermissionError, match="another user"):
        connection.write(connection.default_path(), mine())


@posix
def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    connection.write(tmp_path / "keys.json", mine())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    connection.write(tmp_path / "new" / "folders" / "keys.json", mine())
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700, "who makes a folder makes it private"


@posix
def test_a_shared_folder_is_not_closed_to_the_others(here: Path) -> None:
    here.mkdir()
    here.chmod(0o1777)
    connection.write(connection.default_path(), mine())
    assert stat.S_IMODE(here.stat().st_mode) == 0o1777
    assert list(connection.find_live()) == [], "others could put their files there"


@posix
def test_a_link_or_a_pipe_is_not_read(here: Path) -> None:
    connection.write(here / "file.json", mine())
    (here / "server-1.json").symlink_to(here / "file.json")
    os.mkfifo(here / "server-2.json", 0o600)
    assert list(connection.find_live()) == []


@posix
@pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("whose", ["folder", "parent"])
def test_a_folder_that_another_user_made_first_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    shared = tmp_path / "tmp"
    folder = shared / "runtime-0" / "edtalk"
    monkeypatch.setattr(paths.tempfile, "gettempdir", lambda: str(shared))
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(folder))
    connection.write(connection.default_path(), mine())
    assert len(list(connection.find_live())) == 1
    os.chown(folder if whose == "folder" else folder.parent, 12345, 12345)
    assert list(connection.find_live()) == []


def test_the_secret_is_never_shown() -> None:
    assert "SECRET" not in repr(mine(client_secret="SECRET"))


def test_a_server_that_has_ended_is_recognised_and_cleared_away(here: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = processes.process_start(child.pid)
    assert started and started == processes.process_start(child.pid)
    path = connection.default_path(child.pid)
    connection.write(path, mine(pid=child.pid, started=started))
    assert connection.read(path).pid == child.pid
    child.communicate(b"\n")
    with pytest.raises(ConnectionFileError, match="has ended"):
        connection.read(path)
    assert list(connection.find_live()) == []
    assert not path.exists()


def test_another_process_with_the_same_number_is_not_the_server(here: Path) -> None:
    path = connection.default_path()
    connection.write(path, mine(started="another time"))
    with pytest.raises(ConnectionFileError, match="has ended"):
        connection.read(path)


@posix
def test_a_process_that_has_ended_but_was_not_collected_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert processes.process_start(child.pid) is None
    child.wait()


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 5])
def test_numbers_that_are_no_process(pid: int) -> None:
    assert processes.process_start(pid) is None


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="this system has no ps")
def test_the_way_of_other_unixes_tells_processes_apart_too() -> None:
    assert processes._start_by_ps(os.getpid())
    assert processes._start_by_ps(2**22 + 5) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: b"",
        lambda values: b"[1, 2",
        lambda values: b"[]",
        lambda values: b"[" * 100_000,
        lambda values: b"\xff\xfe",
        lambda values: json.dumps({k: v for k, v in values.items() if k != "endpoint"}).encode(),
        lambda values: json.dumps(values | {"pid": "7"}).encode(),
        lambda values: json.dumps(values | {"pid": True}).encode(),
        lambda values: json.dumps(values | {"client_secret": None}).encode(),
    ],
)
def test_a_damaged_file_is_refused_in_words(here: Path, damage: object) -> None:
    path = connection.default_path()
    paths.write_private(path, damage(asdict(mine())))  # type: ignore[operator]
    with pytest.raises(ConnectionFileError, match=r"not a connection file"):
        connection.read(path)
    assert list(connection.find_live()) == []


def test_a_newer_server_may_say_more(here: Path) -> None:
    path = connection.default_path()
    paths.write_private(path, json.dumps(asdict(mine()) | {"gpu": "yes"}).encode())
    assert connection.read(path) == mine()


def test_a_server_removes_only_its_own_file(here: Path) -> None:
    path = connection.default_path()
    connection.write(path, mine(pid=os.getpid() + 1))
    connection.remove(path)
    assert path.exists(), "another server has taken the name"
    connection.write(path, mine())
    connection.remove(path)
    connection.remove(path)
    assert not path.exists()


def test_the_places_are_those_of_platformdirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    platformdirs = pytest.importorskip("platformdirs")
    for name in ("EDTALK_RUNTIME_DIR", "EDTALK_DATA_DIR", "EDTALK_LOG_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "session").mkdir(mode=0o700)
    for runtime in (None, str(tmp_path / "session")):
        if runtime:
            monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
            monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
            monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        else:
            monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where there is no session
            theirs = platformdirs.PlatformDirs("edtalk", appauthor=False)
            assert paths.runtime_dir() == Path(theirs.user_runtime_dir)
            assert paths.data_dir() == Path(theirs.user_data_dir)
            assert paths.log_dir() == Path(theirs.user_log_dir)


@posix
def test_a_session_folder_that_is_open_to_others_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert tmp_path not in paths.runtime_dir({"XDG_RUNTIME_DIR": str(tmp_path)}).parents


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_the_other_systems_have_their_own_places(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths.sys, "platform", platform)
    monkeypatch.setattr(paths.Path, "home", lambda: Path("/home/me"))
    places = [
        rule({"LOCALAPPDATA": "/home/me/Local"})
        for rule in (paths.runtime_dir, paths.data_dir, paths.log_dir)
    ]
    assert [str(place) for place in places] == {
        "win32": ["/home/me/Local/Temp/edtalk", "/home/me/Local/edtalk", "/home/me/Local/edtalk/Logs"],
        "darwin": [
            "/home/me/Library/Caches/TemporaryItems/edtalk",
            "/home/me/Library/Application Support/edtalk",
            "/home/me/Library/Logs/edtalk",
        ],
    }[platform]
