"""`install.py` as a new user meets it: help, dry run, old Pythons, full disks, no network, odd folders, second runs."""

from __future__ import annotations

import ast
import io
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from functools import partial
from pathlib import Path

import pytest

from edtalk_server.installer import (
    blender,
    checks,
    command,
    demo,
    environments,
    release,
    scheduler,
    server,
    steps,
)
from edtalk_server.installer.environments import Environment, explain
from edtalk_server.installer.options import Options
from edtalk_server.installer.scheduler import Job, Outcome, Status
from edtalk_server.installer.steps import GIGABYTE, Runner, SetupError, need_disk

ROOT = Path(__file__).resolve().parents[3]


def install(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "install.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What install.py needs of the project, in a folder with spaces, accents and 日本."""
    root = tmp_path / "Mes vidéos 日本"
    for package in ("shared_protocol", "edtalk_server/installer"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("install.py", "pyproject.toml", "edtalk_server/__init__.py"):
        shutil.copy(ROOT / file, root / file)
    return root


def contents(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


# --- what it says ----------------------------------------------------------------------------------------------------


def test_help_names_the_commands_and_the_choices() -> None:
    text = install("--help").stdout
    for word in (
        "demo",
        "test",
        "server",
        "release",
        "--dry-run",
        "--wheels",
        "--torch",
        "--blender",
        "--quick",
        "--all",
    ):
        assert word in text


@pytest.mark.parametrize("what", ["server", "demo", "test", "release"])
def test_a_dry_run_says_the_steps_and_changes_nothing(checkout: Path, what: str) -> None:
    before = contents(checkout)
    answer = install(what, "--dry-run", root=checkout)
    assert answer.returncode == 0, answer.stderr
    assert "would run:" in answer.stdout
    assert "pip install" in answer.stdout
    assert str(checkout) in answer.stdout
    assert contents(checkout) == before


def test_an_unknown_command_is_refused_with_the_known_ones() -> None:
    answer = install("everything")
    assert answer.returncode == 2
    assert "demo" in answer.stderr


def test_a_wheel_folder_that_does_not_exist_is_named() -> None:
    answer = install("--wheels", "no-such-folder", "--dry-run")
    assert answer.returncode == 2
    assert "no-such-folder" in answer.stderr


# --- what can stand in the way ---------------------------------------------------------------------------------------


def test_an_old_python_is_told_which_one_is_needed() -> None:
    namespace: dict[str, object] = {"__name__": "install"}
    exec(compile((ROOT / "install.py").read_text(encoding="utf-8"), "install.py", "exec"), namespace)  # noqa: S102
    problem = namespace["python_problem"]
    assert callable(problem)
    assert "needs Python 3.11 or newer and this is Python 3.9" in problem((3, 9, 2))
    assert problem((3, 11, 0)) is None
    assert problem((3, 14, 0)) is None


def test_an_old_python_can_read_the_front_door() -> None:
    tree = ast.parse((ROOT / "install.py").read_text(encoding="utf-8"), feature_version=(3, 4))
    names = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert names == {"sys"}


def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"1\.0 GB free, and 2\.0 GB are needed"):
        need_disk(tmp_path, 2 * GIGABYTE, usage=lambda _: (0, 0, GIGABYTE))
    need_disk(tmp_path, 2 * GIGABYTE, usage=lambda _: (0, 0, 3 * GIGABYTE))


NO_NETWORK_OUTPUT = """
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection object>: Failed to
establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/torch/
ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)
ERROR: No matching distribution found for torch==2.13.0
"""


def test_no_network_is_said_in_one_sentence_with_the_way_out() -> None:
    text = str(explain(NO_NETWORK_OUTPUT))
    assert "The package index could not be reached." in text
    assert "--wheels" in text
    assert "No matching" not in text


def test_a_network_that_is_really_missing_is_recognised(tmp_path: Path) -> None:
    command_line = [sys.executable, "-m", "pip", "download", "--isolated", "--no-cache-dir", "--retries", "1"]
    closed = [
        "--index-url",
        "http://127.0.0.1:9/simple",
        "--dest",
        str(tmp_path),
        "no-such-package-of-edtalk",
    ]
    answer = subprocess.run(
        [*command_line, *closed], capture_output=True, text=True, check=False, timeout=120
    )
    assert answer.returncode != 0
    assert "could not be reached" in str(explain(answer.stdout + answer.stderr))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("OSError: [Errno 28] No space left on device", "disk became full"),
        (
            "The virtual environment was not created: ensurepip is not available",
            "apt-get install python3-venv",
        ),
        (
            "Max retries exceeded (SSLError(SSLCertVerificationError('CERTIFICATE_VERIFY_FAILED')))",
            "PIP_CERT",
        ),
        ("ERROR: No matching distribution found for bpy==5.0.1", "There is no bpy==5.0.1 for Python"),
        ("ERROR: something new", "something new"),
    ],
)
def test_other_failures_of_pip_say_what_to_do(output: str, expected: str) -> None:
    assert expected in str(explain(output))


def test_a_package_missing_from_the_offline_folder_is_named(tmp_path: Path) -> None:
    text = str(explain("ERROR: No matching distribution found for torch==2.13.0", tmp_path))
    assert f"The folder {tmp_path} does not hold torch==2.13.0." in text


def test_an_empty_offline_folder_ends_in_that_message(checkout: Path, tmp_path: Path) -> None:
    empty = tmp_path / "wheels"
    empty.mkdir()
    answer = install("server", "--torch", "cpu", "--wheels", str(empty), root=checkout)
    assert answer.returncode == 1
    assert f"The folder {empty} does not hold" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_page_on_offline_folders_names_the_pinned_packages() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert f'"{environments.TORCH}"' in page
    for name in environments.LOCKED.values():
        assert f"edtalk_server/installer/{name}" in page


def test_missing_system_libraries_of_blender_are_named_with_their_packages() -> None:
    output = "ImportError: libXrender.so.1: cannot open shared object file: No such file or directory"
    text = str(blender._explain_import(output))
    assert "libXrender.so.1" in text
    assert "apt-get install" in text
    assert "libxrender1" in text


# --- what it chooses -------------------------------------------------------------------------------------------------


def test_pytorch_follows_the_driver_unless_one_is_asked_for() -> None:
    assert server.choose_torch("auto", lambda: True, "linux")[0] == "cuda"
    assert server.choose_torch("auto", lambda: False, "linux")[0] == "cpu"
    assert server.choose_torch("auto", lambda: True, "darwin")[0] == "cpu"
    assert server.choose_torch("cuda", lambda: False, "linux") == ("cuda", "as asked")


@pytest.mark.parametrize(
    ("version", "python", "has_zmq", "flavor"),
    [
        ((4, 2, 0), (3, 11), False, "A"),
        ((5, 0, 1), (3, 11), True, "A"),
        ((5, 1, 0), (3, 13), False, "B"),
        ((5, 2, 2), (3, 14), True, "plain"),
        ((5, 2, 2), (3, 14), False, None),
        ((4, 3, 2), (3, 13), True, "plain"),
        ((3, 4, 1), (3, 11), True, None),
    ],
)
def test_the_package_fits_the_blender(
    version: tuple[int, ...], python: tuple[int, int], has_zmq: bool, flavor: str | None
) -> None:
    assert blender.choose_flavor(version, python, has_zmq)[0] == flavor


def test_a_program_that_is_no_blender_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(blender=Path(sys.executable))
    with pytest.raises(SetupError, match="cannot run the demo"):
        blender.find_host(options, Runner(tmp_path / "log"))
    assert "does not answer as a Blender" in capsys.readouterr().out


# --- while it runs ---------------------------------------------------------------------------------------------------


def test_a_long_silent_step_shows_that_it_lives_and_its_output_is_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "SIGN_OF_LIFE", 0.2)
    code = "import time; print('EDTALK: half way', flush=True); time.sleep(1); print('and a detail')"
    output = Runner(tmp_path / "log").run("take long", [sys.executable, "-c", code])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "- take long"
    assert "    half way" in shown
    assert any(line.startswith("    ... ") for line in shown)
    assert not any("a detail" in line for line in shown)
    assert "and a detail" in output
    assert "and a detail" in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_step_that_fails_hands_on_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        Runner(tmp_path / "log").run("fail", [sys.executable, "-c", "print('why'); raise SystemExit(3)"])
    assert caught.value.returncode == 3
    assert caught.value.output == "why\n"


# --- running it again ------------------------------------------------------------------------------------------------


def test_an_environment_is_filled_once_and_again_when_the_rules_change(checkout: Path) -> None:
    environment = Environment(checkout / ".venv", Runner(checkout / "runs" / "log"))
    venv.create(environment.folder, symlinks=os.name != "nt")  # without pip, which takes seconds
    mark = environments.fingerprint(checkout, "cpu")
    assert not environment.is_current(mark)
    environment.finish(mark)
    assert environment.is_current(mark)
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    assert not environment.is_current(environments.fingerprint(checkout, "cpu"))


def test_a_broken_environment_is_made_anew(checkout: Path) -> None:
    environment = Environment(checkout / ".venv", Runner(checkout / "runs" / "log"))
    Path(environment.python).parent.mkdir(parents=True)
    Path(environment.python).write_text("half written", encoding="utf-8")
    environment.create()
    assert environments.python_version(environment.python) == sys.version_info[:2]


def test_the_demo_replaces_its_own_file_but_never_one_that_somebody_worked_in(tmp_path: Path) -> None:
    assert demo.free_place(tmp_path) == tmp_path
    (tmp_path / "demo.blend").write_bytes(b"made by us")
    demo.remember_ours(tmp_path)
    assert demo.free_place(tmp_path) == tmp_path
    (tmp_path / "demo.blend").write_bytes(b"hours of an animator's work")
    assert demo.free_place(tmp_path) == tmp_path / "demo-2"


def test_a_packed_sample_is_the_same_each_time_and_its_blend_names_no_private_folder(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "sample"
    (folder / "edtalk").mkdir(parents=True)
    (folder / "edtalk" / "0001.png").write_bytes(b"a picture")
    texts = [f"{folder}/sample.blend", "//voice.flac", str(tmp_path / "work"), "//../../checkout/b"]
    texts += [f"{tmp_path / 'workshop'}/c"]
    before = b"BLENDER" + b"".join(text.encode().ljust(200, b"\0") for text in texts)
    (folder / "sample.blend").write_bytes(before)
    packed = [tmp_path / name for name in ("one.zip", "two.zip")]
    for target in packed:
        release.pack(folder, target, [tmp_path / "work", tmp_path / "checkout", Path(tmp_path.anchor)])
    assert packed[0].read_bytes() == packed[1].read_bytes()
    with zipfile.ZipFile(packed[0]) as archive:
        assert archive.namelist() == ["sample/edtalk/0001.png", "sample/sample.blend"]
        after = archive.read("sample/sample.blend")
    assert f"{tmp_path / 'work'}/".encode() not in after and b"checkout" not in after
    assert f"{tmp_path / 'workshop'}/c\0".encode() in after, "another folder, whose name begins like that"
    assert len(after) == len(before), "a .blend is read by places: nothing may move"
    assert b"//voice.flac\0" in after


def test_the_record_for_the_addon_says_where_the_server_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from shared_protocol import paths

    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "data"))
    runner = Runner(tmp_path / "log")
    options = Options(root=tmp_path)
    server.record(options, runner, Environment(options.venv, runner))
    record = json.loads(paths.server_record().read_text(encoding="utf-8"))
    assert Path(record["python"]).is_relative_to(tmp_path / ".venv")
    assert record["checkout"] == str(tmp_path)


def test_a_problem_is_one_message_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_disk(*_: object) -> None:
        raise SetupError("The disk is full.", "Free some space.")

    monkeypatch.setattr(server, "install", no_disk)
    assert command.main(["server"]) == 1
    assert capsys.readouterr().err == "\nerror: The disk is full.\n  Free some space.\n"


# --- where the tests run ----------------------------------------------------------------------------------------------


def test_a_python_that_pyenv_keeps_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "versions" / "3.99.1" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 3 99\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert environments.find_python((3, 99)) == str(program)
    assert environments.find_python((3, 98)) is None


def test_two_checks_run_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each waits for the other, writes its output in two parts, and one of them fails."""
    program = (
        "import pathlib, sys, time\n"
        "mine, other = sys.argv[1:]\n"
        "pathlib.Path(mine).touch()\n"
        "print('one', mine, flush=True)\n"
        "while not pathlib.Path(other).exists(): time.sleep(0.01)\n"
        "print('two', mine, flush=True)\n"
        "sys.exit(mine == 'b')\n"
    )
    options, runner = Options(root=tmp_path), Runner(tmp_path / "log")
    jobs = [
        Job(name, partial(checks.show, options, runner, name, [sys.executable, "-c", program, name, other]))
        for name, other in ("ab", "ba")
    ]
    outcomes = scheduler.run(jobs, 2)
    assert [(name, outcome.status) for name, outcome in outcomes.items()] == [
        ("a", Status.PASSED),
        ("b", Status.FAILED),
    ]
    output = capsys.readouterr().out
    assert "one a\ntwo a\n" in output and "one b\ntwo b\n" in output, "each in one piece"


def test_a_console_with_few_letters_shows_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "cp1252", newline="\n"))
    program = "import sys; sys.stdout.buffer.write('ä 驚'.encode())"
    assert Runner(tmp_path / "log").show("Tests", [sys.executable, "-c", program], tmp_path)
    assert shown.getvalue().endswith("ä ?\n".encode("cp1252"))


@pytest.fixture
def windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """A checkout with one test for windows, and two Blenders that can open one."""
    monkeypatch.setenv("EDTALK_GUI_ROOT", f"{tmp_path / 'old'}:{tmp_path / 'new'}")
    monkeypatch.delenv("EDTALK_GUI_MAKE", raising=False)
    (tmp_path / "tests" / "gui").mkdir(parents=True)
    (tmp_path / "tests" / "gui" / "test_it.py").touch()
    return Options(root=tmp_path)


def windows_of(options: Options, *, dry: bool = False) -> list[Job]:
    jobs = checks.plan(options, Runner(options.root / "log", dry=dry))
    return [job for job in jobs if job.name.startswith("window")]


def test_each_blender_with_a_window_is_tested(windows: Options, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = windows_of(windows, dry=True)
    assert [job.name for job in jobs] == ["window old", "window new"]
    assert {job.resource for job in jobs} == {"window"}, "one at a time"
    for job in jobs:
        job.work()
    old, new = [line for line in capsys.readouterr().out.splitlines() if "tests/gui/test_it.py" in line]
    assert '"gui and oldest_window and not release"' in old
    assert '"gui and not release"' in new


@pytest.mark.parametrize(
    ("answers", "fails"), [([True], False), ([False, True], False), ([False, False], True)]
)
def test_a_window_that_fails_gets_a_second_try_and_no_third(
    windows: Options, monkeypatch: pytest.MonkeyPatch, answers: list[bool], fails: bool
) -> None:
    monkeypatch.setenv("EDTALK_GUI_ROOT", str(windows.root / "new"))
    left = list(answers)
    monkeypatch.setattr(Runner, "show", lambda *_arguments, **_places: left.pop(0))
    (job,) = windows_of(windows)
    outcome = job.work()
    assert left == [] and (outcome.status is Status.FAILED) == fails
    assert ("test_it" in outcome.note) == fails


def makes_window(options: Options) -> Outcome:
    """What comes of making the newest Blender with a window."""
    jobs = {job.name: job for job in checks.plan(options, Runner(options.root / "log"))}
    assert "make window new" in jobs["window new"].needs
    return jobs["make window new"].work()


def test_a_blender_with_a_window_is_made_where_a_program_for_it_is_named(
    windows: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = makes_window(windows)
    assert outcome.status is Status.FAILED and str(windows.root / "new") in outcome.note
    monkeypatch.setenv("EDTALK_GUI_MAKE", shutil.which("false") or "")
    assert makes_window(windows).status is Status.SKIPPED
    monkeypatch.setenv("EDTALK_GUI_MAKE", shutil.which("mkdir") or "")
    assert makes_window(windows).status is Status.PASSED and (windows.root / "new").is_dir()
    assert "make window new" in capsys.readouterr().out
    monkeypatch.delenv("EDTALK_GUI_MAKE")
    assert makes_window(windows).status is Status.PASSED, "it is there already"


def test_without_such_a_blender_the_summary_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDTALK_GUI_ROOT", raising=False)
    (job,) = windows_of(Options(root=tmp_path))
    outcome = job.work()
    assert outcome.status is Status.SKIPPED and "EDTALK_GUI_ROOT" in outcome.note


# --- the first hour --------------------------------------------------------------------------------------------------

WRAPPED = """The virtual environment was not created successfully because ensurepip is not
available.  On Debian/Ubuntu systems, you need to install the python3-venv
package using the following command.
"""


def test_debians_wrapped_words_about_venv_are_understood() -> None:
    assert "apt-get install python3-venv" in str(explain(WRAPPED))


def test_an_environment_without_pip_was_half_made_and_is_made_anew(checkout: Path) -> None:
    """What `python -m venv` leaves behind on a Debian without python3-venv."""
    environment = Environment(checkout / ".venv", Runner(checkout / "runs" / "log"))
    venv.create(environment.folder, symlinks=os.name != "nt")  # without pip
    assert environments.python_version(environment.python) and not environments.pip_version(
        environment.python
    )
    environment.create()
    assert environments.pip_version(environment.python)


def test_missing_system_libraries_are_named_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> None:
        if name in ("libXi.so.6", "libGL.so.1"):
            raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(SetupError, match=r"libXi\.so\.6, libGL\.so\.1") as caught:
        blender.need_libraries(load, "linux")
    assert "libxi6" in str(caught.value)
    blender.need_libraries(load, "win32")

    def lacks() -> None:
        raise SetupError("libXi is missing.", "Install it.")

    monkeypatch.setattr(blender, "need_libraries", lacks)
    monkeypatch.setattr(Environment, "install", lambda *_: pytest.fail("it downloads"))
    (tmp_path / "pyproject.toml").touch()
    with pytest.raises(SetupError, match="libXi"):
        blender.install_module(Options(root=tmp_path), Runner(tmp_path / "log"), "4.5.15", sys.executable)


class Index:
    """An environment whose pip finds PyTorch's own index, or another index with these builds."""

    def __init__(self, runner: Runner, folder: Path, builds: str, own: bool = False) -> None:
        self.runner, self.folder, self.builds, self.own = runner, folder / ".venv", builds, own
        self.python, self.wheels = "no python", None
        self.installed: list[tuple[str, ...]] = []

    def install(self, _title: str, *arguments: str) -> None:
        if "--index-url" in arguments and not self.own:
            raise SetupError("The package index could not be reached.", "Connect.")
        self.installed.append(arguments)

    def pip(self, *_: str) -> str:
        return self.builds


@pytest.fixture
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")


def test_the_large_pytorch_is_never_taken_in_silence(
    tmp_path: Path, on_linux: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runner, room = Runner(tmp_path / "log"), list[int]()
    monkeypatch.setattr(server, "need_disk", lambda _folder, wanted: room.append(wanted))
    reached = Index(runner, tmp_path, "", own=True)
    assert server.install_torch(reached, "cpu", "https://own") == "cpu"  # type: ignore[arg-type]
    small = Index(runner, tmp_path, "torch-2.13.0+cpu")
    assert server.install_torch(small, "cpu", "https://own") == "cpu"  # type: ignore[arg-type]
    assert "GB to download" not in capsys.readouterr().out and "--no-deps" in small.installed[0]
    large = Index(runner, tmp_path, "torch-2.13.0")
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # nobody can answer: it is said
    assert server.install_torch(large, "cpu", "https://own") == "cuda"  # type: ignore[arg-type]
    assert "3 GB to download, 9 GB of disk" in capsys.readouterr().out
    assert room == [9 * GIGABYTE] and large.installed == [(environments.TORCH,)]
    runner.may_enlarge = False  # type: ignore[misc]
    with pytest.raises(SetupError, match="neither from"):
        server.install_torch(large, "cpu", "https://own")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("system", "kind", "where"),
    [
        ("linux", "cpu", "https://own/cpu"),
        ("linux", "cuda", ""),
        ("win32", "cpu", ""),
        ("win32", "cuda", "https://own/cu130"),
        ("darwin", "cpu", ""),
    ],
)
def test_each_system_has_its_pytorch_from_the_index_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, kind: str, where: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    index = Index(Runner(tmp_path / "log"), tmp_path, "", own=True)
    assert server.install_torch(index, kind, "https://own") == kind  # type: ignore[arg-type]
    (arguments,) = index.installed
    assert arguments[-1] == environments.TORCH
    assert [argument for argument in arguments if argument.startswith("https:")] == [where] * bool(where)
    assert ("--no-deps" in arguments) == ((system, kind) != ("linux", "cuda")), (
        "CUDA's libraries are packages there"
    )


def test_at_a_terminal_the_large_pytorch_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(Runner(tmp_path / "log"), tmp_path, "")
    monkeypatch.setattr(server, "need_disk", lambda *_: None)
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", terminal)
    server.agree(index, lambda _: "y")  # type: ignore[arg-type]
    with pytest.raises(SetupError, match="neither from"):
        server.agree(index, lambda _: "")  # type: ignore[arg-type]


def test_a_second_checkout_says_that_it_takes_over_and_the_first_comes_back_when_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "data"))
    runner = Runner(tmp_path / "log")

    def recorded(name: str, **how: bool) -> str:
        options = Options(root=tmp_path / name)
        environment = Environment(options.venv, runner)
        Path(environment.python).parent.mkdir(parents=True, exist_ok=True)
        Path(environment.python).touch()
        server.record(options, runner, environment, **how)
        return capsys.readouterr().out

    assert "until now" not in recorded("first")
    left_alone = recorded("demo", takes_over=False)
    assert f"goes on using the server of {tmp_path / 'first'}" in left_alone
    assert [Path(each["checkout"]).name for each in server.recorded()] == ["first"]
    assert f"it used the one of {tmp_path / 'first'} until now" in recorded("second")
    assert [Path(each["checkout"]).name for each in server.recorded()] == ["second", "first"]
    shutil.rmtree(tmp_path / "second")
    assert [Path(each["checkout"]).name for each in server.recorded()] == ["first"]


def test_a_home_that_cannot_be_written_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "file" / "data"))
    options, runner = Options(root=tmp_path), Runner(tmp_path / "log")
    server.record(options, runner, Environment(options.venv, runner))
    said = capsys.readouterr().out
    assert "cannot be written" in said and "Server's Python: " in said

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device", "/full")

    monkeypatch.setattr(server, "install", no_space)
    assert command.main(["server"]) == 1
    assert "/full: No space left on device." in capsys.readouterr().err


def test_the_demo_is_made_by_the_oldest_blender_so_that_others_open_it() -> None:
    oldest = blender.MODULES_FOR_DEMO[0]
    assert oldest == min(blender.MODULES_FOR_DEMO) and oldest < "5"


def test_pips_own_progress_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "BETWEEN_SIGNS", 0.0)
    lines = [
        "  Downloading torch-2.13.0-cp311.whl (180.3 MB)",
        "Progress 9 of 90",
        "Progress 90000000 of 180300000",
    ]
    code = f"print('\\n'.join({lines}))"
    output = Runner(tmp_path / "log").run("fetch", [sys.executable, "-c", code])
    shown = capsys.readouterr().out
    assert "Downloading torch-2.13.0-cp311.whl (180.3 MB)" in shown and "... 90 of 180 MB" in shown
    assert "9 of 90" not in shown and "Progress" not in output


def test_what_is_installed_is_locked_with_hashes_for_every_system() -> None:
    for name in environments.LOCKED.values():
        entries = (Path(environments.__file__).parent / name).read_text("utf-8").split("\n\n")[0]
        packages = [part for part in entries.replace("\\\n", " ").splitlines() if not part.startswith("#")]
        assert packages and all("==" in part and "--hash=sha256:" in part for part in packages)
    text = (Path(environments.__file__).parent / "locked.txt").read_text("utf-8")
    wanted = (ROOT / "pyproject.toml").read_text("utf-8").partition("dependencies = [")[2].partition("]")[0]
    for line in wanted.split():
        package = line.strip('",').partition(">")[0].lower().replace("_", "-")
        assert package in ("torch", "") or f"\n{package}==" in text, f"{package} is not locked"


def test_the_page_on_licences_names_every_package_that_is_installed() -> None:
    page = (ROOT / "docs" / "licences.md").read_text("utf-8").lower()
    for name in environments.LOCKED.values():
        text = (Path(environments.__file__).parent / name).read_text("utf-8")
        packages = {line.partition("==")[0] for line in text.splitlines() if "==" in line and line[0] != " "}
        assert [package for package in sorted(packages) if package not in page] == []


def test_the_extension_builds_where_the_systems_python_has_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "blender_addon"))
    import build

    monkeypatch.setattr(build.sys, "executable", "/usr/bin/python-without-pip")
    monkeypatch.setattr(build, "ADDON", ROOT / "blender_addon")
    if (ROOT / ".venv").is_dir():
        assert build.pip_command()[0].startswith(str(ROOT / ".venv"))
    monkeypatch.setattr(build, "ADDON", Path("/nowhere/blender_addon"))
    with pytest.raises(SystemExit, match="has no pip"):
        build.pip_command()
