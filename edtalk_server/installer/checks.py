"""The tests: lint, types, and every test, also inside the Blenders that exist as a Python module or have a window.

`plan` says what runs and what needs what; the scheduler keeps all lanes busy; `docs/testing.md` explains the choices.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from . import durations, scheduler, server
from .blender import MODULES, TEST_PACKAGES, install_module
from .environments import Environment, find_python
from .options import Options, Thoroughness
from .scheduler import Job, Outcome, Status
from .steps import Runner, SetupError

BLENDERS = ("4.2.23", "4.5.15", "5.0.1", "5.2.3")
"""The versions of the module `bpy` that are tested, the oldest first."""

WHOLE = (BLENDERS[0], BLENDERS[-1])
"""Those that run all tests; the others run those marked `versions`, unless everything is asked for."""

LANES = min(4, os.cpu_count() or 1)
"""How many checks run beside each other: each keeps about one core busy."""

SLOWEST = 30
"""How many of the slowest tests are listed at the end."""

RECORDS = Path("runs", "tests")
"""Below the checkout: a JUnit file for each suite."""

WINDOWS = "EDTALK_GUI_ROOT"
"""The variable with the folders of the Blenders that have a window (`tests/gui/conftest.py` says what they are)."""

MAKE_WINDOW = "EDTALK_GUI_MAKE"
"""The variable with a program that makes such a folder where there is none."""

TEST_EXTENSIONS = "EDTALK_TEST_PACKAGES"
"""The variable that tells the suites where the packed extensions are, so that none packs its own."""

SERVER, EXTENSIONS = "environment server", "extension packages"
"""Two jobs that others need."""

OUTSIDE = {
    "training": ("tests/unit/training",),
    "networks": ("tests/networks", "tests/unit/evaluation", "tests/unit/synthetic"),
}
"""The folders of the suites outside Blender; one more suite runs all other folders, also those made later."""

SECONDS = {
    SERVER: 75,
    EXTENSIONS: 10,
    "types": 60,
    "tests training": 300,
    "tests networks": 230,
    "tests others": 500,
    "Blender 4.2.23": 200,
    "Blender 4.5.15": 200,
    "Blender 5.0.1": 200,
    "Blender 5.2.3": 250,
    "marked versions": 60,
    "newest window": 850,
    "older window": 45,
    "environment Blender": 25,
    "make window": 60,
}
"""About how long a check takes on one core; what is not here takes seconds. The order of the checks and the promise
at the start depend on it."""

CONTENTS = {
    Thoroughness.QUICK: "lint, types, and the tests outside Blender without the slow ones",
    Thoroughness.PLAIN: "what CI runs: lint, types, the tests outside Blender, the Blender modules (all tests in the "
    "oldest and the newest, those marked `versions` in the others), and each Blender with a window",
    Thoroughness.ALL: "everything, as before a release: each test in each Blender, and those marked `release`",
}


def run(options: Options, runner: Runner) -> int:
    """Run all checks, then say how each ended. Returns 0 when none failed."""
    jobs = plan(options, runner)
    runner.say(promise(options.thoroughness, scheduler.estimate(jobs, LANES), LANES))
    if runner.dry:
        scheduler.run(jobs, 1)
        return 0
    for folder in (options.root / RECORDS, _packages(options)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    outcomes = scheduler.run(jobs, LANES)
    runner.say(summary(outcomes, durations.read(options.root / RECORDS), LANES))
    return int(any(outcome.status is Status.FAILED for outcome in outcomes.values()))


def promise(thoroughness: Thoroughness, seconds: float, lanes: int) -> str:
    """Return what will run and how long it probably takes."""
    return (
        f"Testing ({thoroughness.value}): {CONTENTS[thoroughness]}.\n"
        f"It takes about {round(seconds / 60) + 1} minutes with {lanes} at a time. "
        "Each check shows its output when it has ended."
    )


def summary(outcomes: dict[str, Outcome], records: list[durations.Record], lanes: int) -> str:
    """Return the slowest tests, a row for each check, and the tests that failed."""
    rows = [
        f"{name:24} {outcome.status.value:8} {outcome.begun:7.0f} {outcome.seconds:7.0f}  {outcome.note}".rstrip()
        for name, outcome in outcomes.items()
    ]
    total = max((outcome.begun + outcome.seconds for outcome in outcomes.values()), default=0.0)
    busy = sum(outcome.seconds for outcome in outcomes.values()) / max(total * lanes, 1e-9)
    head = f"{'check':24} {'result':8} {'began s':>7} {'took s':>7}"
    end = f"{'total':24} {'':8} {'':7} {total:7.0f}  with {lanes} at a time, busy {busy:.0%}"
    parts = ["", f"The {SLOWEST} slowest tests:", *durations.slowest(records, SLOWEST), "", head, *rows, end]
    if failed := durations.failures(records):
        parts += ["", "Failed tests:", *failed]
    return "\n".join(parts)


def plan(options: Options, runner: Runner) -> list[Job]:
    """Return all checks of one run, each after what it needs."""
    python = Environment(options.venv, runner).python
    jobs = [_server_job(options, runner), *_static_jobs(options, runner, python)]
    jobs += _outside_jobs(options, runner, python)
    if options.thoroughness is not Thoroughness.QUICK:
        jobs.append(_extensions_job(options, runner, python))
        for version in BLENDERS:
            jobs += _module_jobs(options, runner, version)
        jobs += _window_jobs(options, runner, python)
    return jobs


def show(options: Options, runner: Runner, name: str, command: Sequence[str], **environment: str) -> Outcome:
    """Run one program, which says by its exit status how it went."""
    passed = runner.show(name, command, options.root, **environment)
    return Outcome(Status.PASSED if passed else Status.FAILED)


def pytest_command(python: str, record: str, *arguments: str) -> list[str]:
    """Return the command of one suite; `record` names its JUnit file."""
    return [python, "-m", "pytest", f"--junitxml={(RECORDS / record).as_posix()}.xml", *arguments]


def selection(options: Options, *markers: str) -> list[str]:
    """Return pytest's arguments that leave out what this run leaves out; with `--all` nothing but `gui` selects."""
    match options.thoroughness:
        case Thoroughness.ALL:
            chosen = [marker for marker in markers if marker == "gui"]
        case Thoroughness.PLAIN:
            chosen = [*markers, "not release"]
        case Thoroughness.QUICK:
            chosen = [*markers, "not release", "not slow"]
    return ["-m", " and ".join(chosen)] if chosen else []


# --- setting up ------------------------------------------------------------------------------------------------------


def _set_up(runner: Runner, log: Path, install: Callable[[Runner], object]) -> Outcome:
    """Install something, with all that it says in one piece."""
    try:
        with runner.collected(log) as quiet:
            install(quiet)
    except SetupError as error:
        return Outcome(Status.FAILED, str(error))
    return Outcome(Status.PASSED)


def _server_job(options: Options, runner: Runner) -> Job:
    log = options.root / "runs" / "install-server.log"
    install = partial(_install_server, options)
    return Job(SERVER, partial(_set_up, runner, log, install), _setup_seconds(options.venv, SERVER))


def _install_server(options: Options, runner: Runner) -> None:
    server.install(options, runner, server.ALL_EXTRAS)


def _install_blender(options: Options, version: str, python: str, runner: Runner) -> None:
    install_module(options, runner, version, python, *TEST_PACKAGES)


def _setup_seconds(folder: Path, kind: str) -> float:
    return 1 if folder.exists() else SECONDS[kind]


def _extensions_job(options: Options, runner: Runner, python: str) -> Job:
    """All flavours of the extension, packed once for all suites."""
    offline = ["--wheels", str(options.wheels)] if options.wheels else []
    command = [python, "blender_addon/build.py", "--out", str(_packages(options)), *offline]
    work = partial(show, options, runner, EXTENSIONS, command)
    return Job(EXTENSIONS, work, SECONDS[EXTENSIONS], frozenset({SERVER}))


def _packages(options: Options) -> Path:
    return options.root / "runs" / "test-packages"


# --- outside Blender -------------------------------------------------------------------------------------------------


def _static_jobs(options: Options, runner: Runner, python: str) -> list[Job]:
    commands = {
        "lint": [python, "-m", "ruff", "check", "."],
        "format": [python, "-m", "ruff", "format", "--check", "."],
        "types": [python, "-m", "mypy"],
    }
    return [
        Job(name, partial(show, options, runner, name, command), SECONDS.get(name, 2), frozenset({SERVER}))
        for name, command in commands.items()
    ]


def _outside_jobs(options: Options, runner: Runner, python: str) -> list[Job]:
    named = [folder for folders in OUTSIDE.values() for folder in folders]
    others = [f"--ignore={folder}" for folder in (*named, "tests/blender", "tests/gui")]
    jobs = []
    for suite, arguments in {**OUTSIDE, "others": ("tests", *others)}.items():
        name = f"tests {suite}"
        command = pytest_command(python, name.replace(" ", "-"), *arguments, *selection(options))
        work = partial(show, options, runner, name, command)
        jobs.append(Job(name, work, SECONDS[name], frozenset({SERVER})))
    return jobs


# --- inside Blender --------------------------------------------------------------------------------------------------


def _module_jobs(options: Options, runner: Runner, version: str) -> list[Job]:
    """The environment of one version of `bpy`, and the tests of `tests/blender` in it."""
    name = f"Blender {version}"
    setup = f"environment {version}"
    folder = options.root / f".venv-bpy-{version}"
    is_partial = options.thoroughness is not Thoroughness.ALL and version not in WHOLE
    return [
        Job(
            setup,
            partial(_prepare_module, options, runner, version),
            _setup_seconds(folder, "environment Blender"),
        ),
        Job(
            name,
            partial(_check_module, options, runner, version, folder),
            SECONDS["marked versions"] if is_partial else SECONDS[name],
            frozenset({setup, SERVER, EXTENSIONS}),
        ),
    ]


def _prepare_module(options: Options, runner: Runner, version: str) -> Outcome:
    needed = MODULES[version][0]
    python = find_python(needed)
    if python is None:
        return Outcome(Status.SKIPPED, "no Python {}.{} here".format(*needed))
    log = options.root / "runs" / f"install-{version}.log"
    return _set_up(runner, log, partial(_install_blender, options, version, python))


def _check_module(options: Options, runner: Runner, version: str, folder: Path) -> Outcome:
    name = f"Blender {version}"
    markers = [] if version in WHOLE else ["versions"]
    python = Environment(folder, runner).python
    command = pytest_command(python, name.replace(" ", "-"), "tests/blender", *selection(options, *markers))
    return show(
        options,
        runner,
        name,
        command,
        BLENDER_USER_RESOURCES=str(folder / "blender-settings"),
        **{TEST_EXTENSIONS: str(_packages(options))},
    )


def _window_jobs(options: Options, runner: Runner, python: str) -> list[Job]:
    """The tests of `tests/gui` in each Blender that can open a window here: all in the last one (name the newest last),
    those marked `oldest_window` in the others."""
    roots = [Path(root) for root in os.environ.get(WINDOWS, "").split(os.pathsep) if root]
    if not roots:
        skipped = Outcome(Status.SKIPPED, f"{WINDOWS} names no Blender with a window")
        return [Job("window", lambda: skipped)]
    jobs = []
    for root in roots:
        setup = f"make window {root.name}"
        seconds = 0 if root.is_dir() else SECONDS["make window"]
        jobs.append(Job(setup, partial(_make_window, options, runner, setup, root), seconds))
        jobs.append(_window_job(options, runner, python, root, root == roots[-1]))
    return jobs


def _make_window(options: Options, runner: Runner, name: str, root: Path) -> Outcome:
    """Make a Blender with a window where there is none; where that fails, its tests are skipped."""
    program = os.environ.get(MAKE_WINDOW)
    if root.is_dir() or runner.dry:
        return Outcome(Status.PASSED, "was there")
    if program is None:
        return Outcome(Status.FAILED, f"{root} is not there")
    succeeded = runner.show(name, [program, str(root)], options.root)
    return Outcome(Status.PASSED) if succeeded else Outcome(Status.SKIPPED, "it could not be made")


def _window_job(options: Options, runner: Runner, python: str, root: Path, is_newest: bool) -> Job:
    markers = ["gui"] if is_newest else ["gui", "oldest_window"]
    work = partial(check_window, options, runner, python, root, markers)
    is_whole = is_newest or options.thoroughness is Thoroughness.ALL
    seconds = SECONDS["newest window" if is_whole else "older window"]
    needs = frozenset({SERVER, EXTENSIONS, f"make window {root.name}"})
    # one window at a time: each is drawn by the processor, and driven by the clock
    return Job(f"window {root.name}", work, seconds, needs, "window")


def check_window(
    options: Options, runner: Runner, python: str, root: Path, markers: Sequence[str]
) -> Outcome:
    """Test one Blender with a window, file by file; the pictures stay in `runs/window-NAME`.

    What fails gets a second try, because a window depends on all that the machine does beside it; twice is a failure.
    """
    name, failed = f"window {root.name}", list[str]()
    environment = {
        WINDOWS: str(root),
        "EDTALK_GUI_OUT": str(options.root / "runs" / f"window-{root.name}"),
        TEST_EXTENSIONS: str(_packages(options)),
    }
    for file in sorted((options.root / "tests" / "gui").glob("test_*.py")):
        path = file.relative_to(options.root).as_posix()
        record = f"{name.replace(' ', '-')}.{file.stem}"
        command = pytest_command(python, record, path, *selection(options, *markers))
        if not any(runner.show(name, command, options.root, **environment) for _ in range(2)):
            failed.append(file.stem)
    return Outcome(Status.FAILED if failed else Status.PASSED, ", ".join(failed))
