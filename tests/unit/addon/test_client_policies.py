"""The rules behind the client and the server's life: instant, because the time is given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.server import discovery
from blender_addon.core.server.events import pixels_of, raise_if_failed, weights_of
from blender_addon.core.server.policies import (
    EARLY_DEATH_S,
    MOST_RESTARTS,
    PATIENCE_S,
    PING_INTERVAL_S,
    Heartbeat,
    Push,
    RestartPolicy,
    StopLadder,
)
from blender_addon.core.server.process import gave_up, last_words
from shared_protocol import paths
from shared_protocol.connection import Connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Blob, Done, Failed, Performance, Prepared, PreviewFrame


def listen(heartbeat: Heartbeat, seconds: float, step: float, start: float = 0.0) -> int:
    """Look again and again; how often it wanted to ask."""
    asked = 0
    for number in range(1, round(seconds / step) + 1):
        heartbeat.advance(start + number * step)
        asked += heartbeat.should_ask()
    return asked


def test_a_silent_server_is_asked_and_then_given_up() -> None:
    heartbeat = Heartbeat(0.0)
    assert listen(heartbeat, PATIENCE_S - 1, 0.05) == (PATIENCE_S - 1) // PING_INTERVAL_S
    assert not heartbeat.is_lost
    listen(heartbeat, 2.0, 0.05, PATIENCE_S - 1)
    assert heartbeat.is_lost


def test_a_server_that_answers_is_never_given_up() -> None:
    heartbeat = Heartbeat(0.0)
    for second in range(1000):
        heartbeat.advance(float(second))
        assert not heartbeat.is_lost
        if second % 5 == 0:
            heartbeat.reset()


def test_a_blender_that_was_busy_for_an_hour_does_not_blame_the_server() -> None:
    heartbeat = Heartbeat(0.0)
    heartbeat.advance(0.1)
    heartbeat.advance(3600.0)
    assert not heartbeat.is_lost


def test_a_clock_that_goes_back_does_no_harm() -> None:
    heartbeat = Heartbeat(100.0)
    heartbeat.advance(50.0)
    assert not heartbeat.is_lost and not heartbeat.should_ask()


def test_only_early_deaths_count() -> None:
    policy = RestartPolicy()
    assert all(policy.may_restart(1.0) for _ in range(MOST_RESTARTS))
    assert not policy.may_restart(1.0)
    policy = RestartPolicy()
    for _ in range(100):
        assert policy.may_restart(EARLY_DEATH_S + 1)
        assert policy.may_restart(1.0)


def test_each_push_is_given_once_and_in_order() -> None:
    ladder = StopLadder(100.0)
    pushes = [ladder.next(100 + tenth / 10) for tenth in range(100)]
    assert [push for push in pushes if push is not Push.WAIT] == [Push.ASK, Push.TERMINATE, Push.KILL]
    assert pushes.index(Push.TERMINATE) == 30 and pushes.index(Push.KILL) == 60


def test_the_last_words_are_never_those_of_a_good_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ordinary = (
        '{"ready": "tcp://127.0.0.1:1", "seconds": 2}\n2026-01-01 10:00:00,000 INFO edtalk_server: loaded\n'
    )
    log.write_text(ordinary)
    assert last_words(log) == ""
    log.write_text(f"Killed\n{ordinary}")
    assert last_words(log) == "Killed"


def test_a_server_that_gives_up_says_whether_it_died_at_its_start_or_at_work() -> None:
    assert "6 times at its start" in gave_up(was_ready=False)
    assert "6 times within seconds of work" in gave_up(was_ready=True)


def test_the_last_words_are_the_error_even_when_more_follows(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(log) == ""
    log.write_bytes(b"\xff\xfe rubbish\nerror: No bundle. Give one.\nbye\n\n")
    assert last_words(log) == "error: No bundle. Give one."
    log.write_bytes(b"x" * 1_000_000 + b"\nSegmentation fault\n")
    assert last_words(log) == "Segmentation fault"


def record(folder: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> None:
    """An installer's record."""
    monkeypatch.delenv("EDTALK_SERVER_PYTHON", raising=False)
    monkeypatch.setenv("EDTALK_DATA_DIR", str(folder))
    paths.server_record().write_text(content if isinstance(content, str) else json.dumps(content))


def test_the_recorded_server_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "Programme für 日本" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    record(tmp_path, monkeypatch, {"python": str(python), "version": "0.1.0", "checkout": str(tmp_path)})
    install = discovery.find_install()
    assert (install.python, install.version) == (python, "0.1.0")
    command = install.command(tmp_path / "c.json", 77)
    assert command[0] == str(python) and command[-4:] == [
        "--parent-pid",
        "77",
        "--connection-file",
        f"{tmp_path}/c.json",
    ]
    assert install.runs(Connection("e", "k", "k", "k", 1, "s", install=str(python.parent.parent)))
    assert not install.runs(Connection("e", "k", "k", "k", 1, "s", install="/usr"))
    assert not install.runs(
        Connection(
            "e", "k", "k", "k", 1, "s", install=str(python.parent.parent), protocol_min=99, protocol_max=99
        )
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[1]", "damaged"),
        ({}, "no longer exists"),
        ({"python": None}, "no longer exists"),
        ({"python": "/nowhere/python"}, "/nowhere/python"),
    ],
)
def test_a_record_that_leads_nowhere_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, words: str
) -> None:
    record(tmp_path, monkeypatch, content)
    with pytest.raises(EDTalkError, match=words) as caught:
        discovery.find_install()
    assert "Install Server" in caught.value.fix


def test_the_users_choice_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, monkeypatch, {"python": "/nowhere/python"})
    chosen, other = tmp_path / "chosen", tmp_path / "other"
    chosen.touch()
    other.touch()
    monkeypatch.setenv("EDTALK_SERVER_PYTHON", str(other))
    assert discovery.find_install(str(chosen)).python == chosen
    assert discovery.find_install().python == other


def test_answers_become_arrays_without_a_copy() -> None:
    values = np.arange(72, dtype="<f4").reshape(2, 36)
    motion = weights_of(Performance("j", 2, 36, Blob(values.tobytes())))
    np.testing.assert_array_equal(motion, values)
    assert weights_of(Prepared("j", "s", weights=Blob(values[0].tobytes()))).shape == (1, 36)
    data = bytearray(2 * 3 * 4)
    picture = pixels_of(PreviewFrame("j", 3, 2, Blob(data)))  # type: ignore[arg-type]
    data[0] = 9
    assert picture.shape == (2, 3, 4) and picture[0, 0, 0] == 9


def test_a_failure_can_be_raised_also_one_of_a_newer_server() -> None:
    raise_if_failed(Done("j"))
    with pytest.raises(EDTalkError, match="cause") as caught:
        raise_if_failed(Failed("j", "no_face", "cause", "fix"))
    assert caught.value.code is ErrorCode.NO_FACE
    with pytest.raises(EDTalkError) as caught:
        raise_if_failed(Failed("j", "a code of the future", "cause", "fix"))
    assert caught.value.code is ErrorCode.INTERNAL
