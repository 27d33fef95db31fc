"""Saying what is done, and doing it: programs run with their output in a log and a sign of life on the screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

GIGABYTE = 10**9
NEWS = "EDTALK: "
"""Lines of a program that begin with this are shown; the others go to the log."""

SIGN_OF_LIFE = 30.0
"""Seconds of silence after which the elapsed time is shown."""


class SetupError(Exception):
    """Something a person has to do first: the cause and the fix, one sentence each."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(f"{cause}\n  {fix}")


class Runner:
    """Runs one step after another and says so; with `dry` it only says so. All output is appended to `log`."""

    def __init__(self, log: Path, dry: bool = False) -> None:
        self.log = log
        self.dry = dry

    def say(self, text: str) -> None:
        print(text, flush=True)

    def run(self, title: str, command: Sequence[str], **environment: str) -> str:
        """Run one program to its end. Returns its output; raises `CalledProcessError` (with the output) if it fails."""
        self.say(f"- {title}")
        if self.dry:
            self.say(f"    would run: {subprocess.list2cmdline(command)}")
            return ""
        started = time.monotonic()
        output = self._run_logged(command, environment)
        self.say(f"    done in {time.monotonic() - started:.0f} s")
        return output

    def show(self, title: str, command: Sequence[str], folder: Path, **environment: str) -> bool:
        """Run one program with its output on the screen. True if it succeeded (or was only to be said)."""
        self.say(f"\n=== {title}: {subprocess.list2cmdline(command)}")
        if self.dry:
            return True
        full = clean_environment() | environment
        return subprocess.run(list(command), cwd=folder, env=full, check=False).returncode == 0

    def _run_logged(self, command: Sequence[str], environment: dict[str, str]) -> str:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        with self.log.open("a", encoding="utf-8") as log, _start(command, environment) as process:
            log.write(f"\n$ {subprocess.list2cmdline(command)}\n")
            watch = _Watch(self.say)
            for line in process.stdout or ():
                log.write(line)
                lines.append(line)
                watch.see(line)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, list(command), "".join(lines))
        return "".join(lines)


class _Watch:
    """Shows the lines that are news, and the elapsed time when there were none for a while."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.started = self.shown = time.monotonic()

    def see(self, line: str) -> None:
        now = time.monotonic()
        if line.startswith(NEWS):
            self.say(f"    {line[len(NEWS) :].rstrip()}")
        elif now - self.shown > SIGN_OF_LIFE:
            self.say(f"    ... {now - self.started:.0f} s")
        else:
            return
        self.shown = now


def _start(command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        list(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=clean_environment() | environment,
        encoding="utf-8",
        errors="replace",
    )


def clean_environment() -> dict[str, str]:
    """This process's environment, without what would mix another Python into ours."""
    mixing = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in mixing}
    return kept | {"PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def need_disk(
    folder: Path, wanted: int, usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage
) -> None:
    """Raises `SetupError` when the disk that holds `folder` has fewer than `wanted` bytes free."""
    free = usage(folder)[2]
    if free < wanted:
        raise SetupError(
            f"The disk of {folder} has {free / GIGABYTE:.1f} GB free, and {wanted / GIGABYTE:.1f} GB are needed.",
            "Free some space, or put the checkout on another disk.",
        )
