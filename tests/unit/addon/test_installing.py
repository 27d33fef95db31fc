"""The add-on installs the server that it carries: it follows the installer, ends it, and finds what is installed."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from blender_addon.core.server import discovery, installing
from blender_addon.core.server.installing import Cargo, Choice, Installation
from blender_addon.core.tasks import Progress, run_to_end
from edtalk_server.installer import environments, from_addon
from edtalk_server.installer.steps import Runner
from shared_protocol import paths
from shared_protocol.errors import EDTalkError
from tests import sayings

STAND_IN = """
import json, os, pathlib, sys, threading, time
def end_with_input():
    while os.read(0, 1024): pass
    pathlib.Path("ended").touch()
    os._exit(130)
def tell(**values): print("EDTALK: " + json.dumps(values), flush=True)
def main(arguments):
    print("pip says much")
    threading.Thread(target=end_with_input, daemon=True).start()
    {body}
"""


@pytest.fixture
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An extension's folder whose wheel is a folder, with an installer that a test writes."""
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "server" / "edtalk_blender-1.whl" / "edtalk_server" / "installer"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (tmp_path / "server" / "pip-1.whl").touch()
    return package / "from_addon.py"


def begun(carried: Path, body: str) -> Installation:
    carried.write_text(STAND_IN.format(body=body), "utf-8")
    cargo = Cargo.find(carried.parents[3])
    assert cargo is not None
    return Installation(Path(sys.executable), cargo, Choice(), carried.parents[4] / "log" / "install.log")


def followed(installation: Installation) -> list[str]:
    """What is shown until the installer has ended."""
    shown, progress = [], Progress()
    try:
        for _ in range(1000):
            done = installation.poll(progress)
            shown += [progress.text] if progress.text not in shown[-1:] else []
            if done:
                return shown
            time.sleep(0.01)
        raise AssertionError("it does not end")
    finally:
        installation.close()


def test_stages_and_megabytes_are_shown_until_the_servers_python_is_known(carried: Path) -> None:
    body = "tell(stage='PyTorch, cpu build'); time.sleep(.2); tell(done=90_000_000, total=180_000_000); time.sleep(.2)"
    installation = begun(carried, body + "; tell(python='/there/python'); return 0")
    shown = followed(installation)
    assert {"Fetching PyTorch", "Fetching PyTorch 90 of 180 MB"} <= set(shown)
    assert installation.installed == Path("/there/python")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("tell(cause='The disk is full.', fix='Free some.'); return 1", "The disk is full. Free some."),
        ("raise SystemExit(7)", "ended early (status 7)"),
    ],
)
def test_what_goes_wrong_is_said(carried: Path, body: str, said: str) -> None:
    with pytest.raises(EDTalkError) as caught:
        followed(begun(carried, body))
    assert said in str(caught.value)


def test_a_cancel_ends_the_installer(carried: Path) -> None:
    installation = begun(carried, "tell(stage='PyTorch'); time.sleep(60)")
    while not (carried.parents[4] / "log" / "install.log").read_bytes().count(b"EDTALK"):
        time.sleep(0.01)
    installation.close()
    assert installation._process.wait(10) != 0
    assert (carried.parents[4] / "log" / "ended").exists(), (
        "pip finds no modules of the artist's folder where it runs"
    )


def test_an_addon_without_wheels_carries_no_server(tmp_path: Path) -> None:
    assert Cargo.find(tmp_path) is None


def test_only_a_python_that_can_make_the_environment_is_taken(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\necho 3 9\n", "ascii")
    old.chmod(0o755)
    mine = Path(sys.executable)
    assert run_to_end(installing.choose_python(None, [tmp_path / "none", old, mine])) == mine
    for chosen, among in ((old, None), (None, [old])):
        with pytest.raises(EDTalkError, match=r"3\.11, 3\.12 or 3\.13"):
            run_to_end(installing.choose_python(chosen, among))


@pytest.mark.parametrize(
    ("inside", "executable", "first"),
    [
        ("4.2/python/bin/python3.11", "4.2/python/bin/python3.11", "4.2/python/bin/python3.11"),
        ("4.2/python/bin/python3.11", "blender", "4.2/python/bin/python3.11"),
        ("4.2/python/bin/python.exe", "4.2/python/bin/python.exe", "4.2/python/bin/python.exe"),
        ("Resources/4.2/python/bin/python3.11", "MacOS/Blender", "Resources/4.2/python/bin/python3.11"),
    ],
)
def test_the_python_that_official_builds_bring_is_tried_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, executable: str, first: str
) -> None:
    """Linux, Windows and a Mac, as their folders are; where it fails, those of the system follow."""
    bundled = tmp_path / inside
    bundled.parent.mkdir(parents=True)
    bundled.touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / executable))
    monkeypatch.setattr(sys, "prefix", str(bundled.parent.parent))
    monkeypatch.setattr(installing.shutil, "which", lambda name: f"/usr/bin/{name}")
    tried = list(installing.candidates())
    assert tried[0] == tmp_path / first
    assert Path("/usr/bin/python3.13") in tried[1:] and Path("/usr/bin/python3") in tried[1:]


def test_on_windows_the_installer_ends_with_the_programs_that_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ended(BaseException):
        """The process is gone."""

    def leave(_status: int) -> None:
        raise Ended

    ran: list[list[str]] = []
    monkeypatch.setattr(from_addon.os, "read", lambda *_: b"")
    monkeypatch.setattr(from_addon.os, "_exit", leave)
    monkeypatch.setattr(from_addon.sys, "platform", "win32")
    monkeypatch.setattr(from_addon.subprocess, "run", lambda command, **_: ran.append(command))
    with pytest.raises(Ended):
        from_addon.end_with_input()
    assert ran == [["taskkill", "/F", "/T", "/PID", str(os.getpid())]]


def test_environments_have_their_python_where_the_system_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environments.Environment(tmp_path, Runner(tmp_path / "log"))
    assert environment.python == str(tmp_path / "bin" / "python")
    with monkeypatch.context() as windows:
        windows.setattr(environments.os, "name", "nt")
        assert environment.python == str(tmp_path / "Scripts" / "python.exe")


def test_a_record_leads_to_the_next_server_when_the_first_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("EDTALK_SERVER_PYTHON", raising=False)
    others = [{"python": sys.executable, "checkout": "/older"}, "nonsense"]
    paths.write_private(paths.server_record(), json.dumps({"python": "/gone", "others": others}).encode())
    assert discovery.find_install("", {**os.environ}).checkout == "/older"
    paths.write_private(paths.server_record(), json.dumps({"python": "/gone", "others": 5}).encode())
    with pytest.raises(EDTalkError, match="/gone"):
        discovery.find_install("", {**os.environ})


@pytest.mark.parametrize("output", ["ERROR: Failed to establish a new connection", "Traceback\nbad luck"])
def test_an_error_names_what_the_dialog_has(output: str) -> None:
    told = from_addon.in_words_of_the_dialog(environments.explain(output), Path("/log/install.log"))
    assert "\n" not in told["fix"]
    assert "field Packages" in told["fix"] or told["fix"] == "/log/install.log has the whole output."


def test_no_option_of_a_command_line_is_left_for_people_without_a_terminal() -> None:
    said = sayings.said_by_installer()
    assert len(said) > 15
    assert [text for text in said if "--" in text or "runs/" in text or "checkout" in text] == []


def test_a_python_that_is_asked_gets_no_share_of_the_input_that_the_installer_waits_for() -> None:
    """On Windows it would not begin before that ends: the pipe is locked while a thread reads it."""
    waiting, other = os.pipe()
    kept = os.dup(0)
    os.dup2(waiting, 0)
    try:
        code = "import os, stat; print(stat.S_ISFIFO(os.fstat(0).st_mode))"
        assert environments.answer_of(sys.executable, code, 30).strip() == "False"
        assert environments.python_version(sys.executable) == sys.version_info[:2]
    finally:
        os.dup2(kept, 0)
        for handle in (waiting, other, kept):
            os.close(handle)
