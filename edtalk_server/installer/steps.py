"""Announce steps and run them: the programs' output goes to a log, a sign of life to the screen."""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

GIGABYTE = 10**9
NEWS = "EDTALK: "
"""Lines of a program that begin with this are shown; the others go to the log."""

SIGN_OF_LIFE = 30.0
"""Seconds of silence after which the elapsed time is shown."""


WORTH_SHOWING, BETWEEN_SIGNS = 20_000_000, 5.0
"""Bytes of a download from which on its progress is shown, and seconds between two signs of it."""
_FAR = re.compile(r"Progress (\d+) of (\d+)")
_FETCHES = re.compile(r"\s*Downloading \S+ \([^)]*B\)")
"""What pip writes of a download: how far it is (`--progress-bar raw`), and what it fetches."""


class SetupError(Exception):
    """A problem that a person must solve first: cause and fix, one sentence each."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(f"{cause}\n  {fix}")


class Runner:
    """Runs one step after another and announces it; with `dry` it only announces. All output is appended to `log`."""

    may_enlarge = True
    """May it take a far larger download than it was asked for, after saying so?"""

    def __init__(self, log: Path, dry: bool = False) -> None:
        self.log = log
        self.dry = dry
        self._shown = 0.0

    def say(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"  # a console of Windows has few letters
        printable = text.encode(encoding, "replace").decode(encoding)
        print(f"{printable}\n", end="", flush=True)  # in one piece, beside others

    def run(self, title: str, command: Sequence[str], **environment: str) -> str:
        """Run one program to its end and return its output. Raises `CalledProcessError` with the output."""
        self.say(f"- {title}")
        if self.dry:
            self.say(f"    would run: {subprocess.list2cmdline(command)}")
            return ""
        started = time.monotonic()
        output = self._run_logged(command, environment)
        self.say(f"    done in {time.monotonic() - started:.0f} s")
        return output

    def show(self, title: str, command: Sequence[str], folder: Path, **environment: str) -> bool:
        """Run one program and show its output in one piece when it has ended. Returns whether it succeeded (True also
        when it was only to be said)."""
        self.say(f"\n=== {title}: {subprocess.list2cmdline(command)}")
        if self.dry:
            return True
        done = subprocess.run(
            list(command),
            cwd=folder,
            env=clean_environment() | environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self.say(f"\n=== {title} ended\n{done.stdout.rstrip()}")
        return done.returncode == 0

    @contextmanager
    def collected(self, log: Path) -> Iterator[Runner]:
        """Give a runner whose words and log come in one piece at the end, for steps that run beside others.

        `log` is a file of its own until then.
        """
        inner = _Collector(log, self.dry)
        try:
            yield inner
        finally:
            if inner.lines:
                self.say("\n".join(inner.lines))
            if log.exists():
                with self.log.open("ab") as whole:
                    whole.write(log.read_bytes())
                log.unlink()

    def progress(self, done: int, total: int) -> None:
        """Show how many bytes of a download are there, where it is large: every few seconds."""
        now = time.monotonic()
        if total > WORTH_SHOWING and now - self._shown > BETWEEN_SIGNS:
            self._shown = now
            self.say(f"    ... {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    def _run_logged(self, command: Sequence[str], environment: dict[str, str]) -> str:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        lines: list[str] = []
        with (
            self.log.open("a", encoding="utf-8", buffering=1) as log,
            _start(command, environment) as process,
        ):
            log.write(f"\n$ {subprocess.list2cmdline(command)}\n")
            for line in _lines_or_silence(process):
                if line is None:
                    self.say(f"    ... {time.monotonic() - started:.0f} s")
                    continue
                if far := _FAR.fullmatch(line.strip()):
                    self.progress(int(far[1]), int(far[2]))
                    continue
                log.write(line)
                lines.append(line)
                if line.startswith(NEWS):
                    self.say(f"    {line[len(NEWS) :].rstrip()}")
                elif _FETCHES.match(line):
                    self.say(f"    {line.strip()}")
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, list(command), "".join(lines))
        return "".join(lines)


class _Collector(Runner):
    """Keeps what it would say."""

    def __init__(self, log: Path, dry: bool) -> None:
        super().__init__(log, dry)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def _lines_or_silence(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """Yield the lines that a program writes, and None after each `SIGN_OF_LIFE` seconds without news."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")  # what a file gives at its end

    threading.Thread(target=read, daemon=True).start()
    last_news = time.monotonic()
    while True:
        try:
            line = lines.get(timeout=max(0.0, last_news + SIGN_OF_LIFE - time.monotonic()))
        except queue.Empty:
            last_news = time.monotonic()
            yield None
            continue
        if not line:
            return
        if line.startswith((NEWS, "Progress ")):
            last_news = time.monotonic()
        yield line


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
    """Return this process's environment without the variables that would mix another Python into ours."""
    mixing = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in mixing}
    return environment | {"PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def need_disk(
    folder: Path, wanted: int, usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage
) -> None:
    """Raise `SetupError` when the disk of `folder` has fewer than `wanted` bytes free."""
    free = usage(folder)[2]
    if free < wanted:
        raise SetupError(
            f"The disk of {folder} has {free / GIGABYTE:.1f} GB free, and {wanted / GIGABYTE:.1f} GB are needed.",
            "Free some space, or put the checkout on another disk.",
        )
