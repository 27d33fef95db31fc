"""The tests: lint, types, and every test, also inside the Blenders that exist as a Python module."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import server
from .blender import MODULES, TEST_PACKAGES, install_module
from .environments import find_python
from .options import Options
from .steps import Runner

BLENDERS = ("4.2.23", "4.5.15", "5.0.1", "5.2.3")
AT_ONCE = min(2, os.cpu_count() or 1)
"""How many Blenders are tested beside each other: each, with its server, keeps about one core busy."""
OUTSIDE_BLENDER = ("--ignore=tests/blender", "--ignore=tests/gui")
WINDOWS = "EDTALK_GUI_ROOT"
"""The variable with the folders of the Blenders that have a window (`tests/gui/conftest.py` says what they are)."""


@dataclass(frozen=True)
class Outcome:
    """One row of the summary."""

    name: str
    text: str
    failed: bool = False


def run(options: Options, runner: Runner) -> int:
    """Run all checks, then say how each ended. Returns 0 when none failed."""
    python = server.install(options, runner, server.ALL_EXTRAS).python
    selection = ["-m", "not slow"] if options.quick else []
    outcomes = [
        check(options, runner, "lint", [python, "-m", "ruff", "check", "."]),
        check(options, runner, "format", [python, "-m", "ruff", "format", "--check", "."]),
        check(options, runner, "types", [python, "-m", "mypy"]),
        check(options, runner, "tests", [python, "-m", "pytest", *OUTSIDE_BLENDER, *selection]),
    ]
    if not options.quick:
        outcomes += check_in_modules(options, runner)
        outcomes += check_in_windows(options, runner, python)
    runner.say("\n" + "\n".join(f"{outcome.name:16} {outcome.text}" for outcome in outcomes))
    return int(any(outcome.failed for outcome in outcomes))


def check(
    options: Options,
    runner: Runner,
    name: str,
    command: Sequence[str],
    *,
    at_end: bool = False,
    **environment: str,
) -> Outcome:
    """One program that says by its exit status how it went."""
    started = time.monotonic()
    passed = runner.show(name, command, options.root, at_end=at_end, **environment)
    if runner.dry:
        return Outcome(name, "not run")
    return Outcome(
        name, f"{'passed' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s", not passed
    )


def check_in_modules(options: Options, runner: Runner) -> list[Outcome]:
    """The tests of `tests/blender` in each version of the module `bpy`, beside each other."""
    made = [_prepare(options, runner, version) for version in BLENDERS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda ready: ready(), made))


def _prepare(options: Options, runner: Runner, version: str) -> Callable[[], Outcome]:
    """One version of `bpy` with what its tests need; what runs them."""
    name = f"Blender {version}"
    needed = MODULES[version][0]
    python = find_python(needed)
    if python is None:
        return partial(Outcome, name, "skipped: no Python {}.{} here".format(*needed))
    environment = install_module(options, runner, version, python, *TEST_PACKAGES)
    command = [environment.python, "-m", "pytest", "tests/blender"]
    settings = str(environment.folder / "blender-settings")
    return partial(check, options, runner, name, command, at_end=True, BLENDER_USER_RESOURCES=settings)


def check_in_windows(options: Options, runner: Runner, python: str) -> list[Outcome]:
    """The tests of `tests/gui` in each Blender that can open a window here, the slow ones in the last alone (name the
    newest last); the pictures stay in `runs/window-NAME`."""
    roots = [Path(root) for root in os.environ.get(WINDOWS, "").split(os.pathsep) if root]
    if not roots:
        return [Outcome("window", f"skipped: {WINDOWS} names no Blender with a window")]
    return [_check_window(options, runner, python, root, root != roots[-1]) for root in roots]


def _check_window(options: Options, runner: Runner, python: str, root: Path, is_quick: bool) -> Outcome:
    """All of one Blender, file by file. What fails gets a second try, because a window depends on all that the machine
    does meanwhile; twice is a failure."""
    started, failed = time.monotonic(), list[str]()
    pictures = options.root / "runs" / f"window-{root.name}"
    selection = ["-m", "gui and not slow" if is_quick else "gui"]
    for file in sorted((options.root / "tests" / "gui").glob("test_*.py")):
        command = [python, "-m", "pytest", file.relative_to(options.root).as_posix(), *selection]
        show = partial(
            runner.show,
            f"window {root.name}",
            command,
            options.root,
            EDTALK_GUI_ROOT=str(root),
            EDTALK_GUI_OUT=str(pictures),
        )
        if not any(show() for _ in range(2)):
            failed.append(file.stem)
    if runner.dry:
        return Outcome(f"window {root.name}", "not run")
    took = f"in {time.monotonic() - started:.0f} s"
    text = f"FAILED {took}: {', '.join(failed)}" if failed else f"passed {took}"
    return Outcome(f"window {root.name}", text, bool(failed))
