# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the server that the extension carries, in a process of its own. No bpy here.

The extension's folder `server` holds the server as a wheel and a wheel of pip. A Python (Blender's own, else one of the
system's) runs the installer that is in the first one, which makes an environment in the user's data folder and tells
how far it is (`edtalk_server/installer/from_addon.py`). Its output goes to a file, which `poll` reads; it ends when its
input is closed, also by Blender's end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from shared_protocol import paths
from shared_protocol.errors import EDTalkError, ErrorCode

from ..tasks import Progress, Steps
from ..text.translate import n_

NEWS = "EDTALK: "
"""Lines of the installer that begin with this are for us."""
OLDEST, NEWEST = (3, 11), (3, 13)
"""The Pythons that all packages of the server exist for."""
_STAGES = {
    "Make the environment server": n_("Making an environment"),
    "Put pip into it": n_("Preparing pip"),
    "Pip": n_("Preparing pip"),
    "PyTorch, cpu build": n_("Fetching PyTorch"),
    "PyTorch": n_("Fetching PyTorch"),
    "Look for PyTorch elsewhere": n_("Looking for PyTorch elsewhere"),
    "What the server needs": n_("Fetching packages"),
    "The server": n_("Unpacking the server"),
    "Try PyTorch": n_("Trying PyTorch"),
}
"""The installer's stages in the words of the panel."""
_RUN = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from edtalk_server.installer.from_addon import main; sys.exit(main(sys.argv[2:]))"
)
LONGEST_ANSWER_S = 30.0
"""Seconds in which a Python must have said which one it is."""
_ASK = "import sys, venv; print(*sys.version_info[:2])"


@dataclass(frozen=True)
class Cargo:
    """The wheels that the extension carries."""

    server: Path
    pip: Path

    @classmethod
    def find(cls, folder: Path) -> Cargo | None:
        """Return those in a folder; None where the add-on runs from its source."""
        server, pip = (
            next(iter(sorted(folder.glob(f"{name}-*.whl"))), None) for name in ("edtalk_blender", "pip")
        )
        return cls(server, pip) if server is not None and pip is not None else None


@dataclass(frozen=True)
class Choice:
    """What the user chose: PyTorch for the processor or for CUDA, and a folder of packages (None: the network)."""

    torch: str = "cpu"
    wheels: Path | None = None


def environment_folder() -> Path:
    """Return where the server's environment goes."""
    return paths.data_dir() / "server"


def nvidia_driver_answers() -> bool:
    """Return whether this machine seems to have a driver of NVIDIA's; quickly, for a dialog's first choice."""
    return sys.platform != "darwin" and shutil.which("nvidia-smi") is not None


def candidates() -> Iterator[Path]:
    """Yield Pythons that may make the environment: Blender's own first, because it is surely there."""
    inside = Path(sys.executable)
    if inside.name.lower().startswith("python"):
        yield inside
    for folder in ("bin", "Scripts", "."):
        yield from sorted((Path(sys.prefix) / folder).glob("python3.1[1-3]*"))
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        if found := shutil.which(f"python3.{minor}"):
            yield Path(found)
    for name in ("python3", "python"):
        if found := shutil.which(name):
            yield Path(found)


def suits(python: Path) -> Steps[bool]:
    """Return whether a Python runs, has the module `venv`, and is one that the packages exist for."""
    try:
        asked = subprocess.Popen(
            [str(python), "-I", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=_environment(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:
        return False
    end = time.monotonic() + LONGEST_ANSWER_S
    with asked:
        while asked.poll() is None and time.monotonic() < end:
            yield
        if asked.poll() is None:
            asked.kill()
            return False
        words = asked.stdout.read().split() if asked.stdout is not None else []
    if asked.returncode != 0 or len(words) != 2 or not all(word.isdecimal() for word in words):
        return False
    return OLDEST <= (int(words[0]), int(words[1])) <= NEWEST


def choose_python(chosen: Path | None, among: Sequence[Path] | None = None) -> Steps[Path]:
    """Return the Python that makes the environment. Raises `EDTalkError` where none will do."""
    tried = [chosen] if chosen is not None else candidates() if among is None else among
    for python in tried:
        if (yield from suits(python)):
            return python
    raise EDTalkError(
        ErrorCode.SERVER_UNREACHABLE,
        "There is no Python here that can hold the server: it needs 3.11, 3.12 or 3.13.",
        "Install Python 3.13 from python.org (or your system's packages), then press Install Server again.",
    )


class Installation:
    """One run of the installer. `poll` reads what it says; `close` ends it, and what is there by then is kept."""

    def __init__(self, python: Path, cargo: Cargo, choice: Choice, log: Path) -> None:
        self.installed: Path | None = None
        self._error: EDTalkError | None = None
        paths.make_private_folder(log.parent)
        self._rest = b""
        arguments = ["--wheel", str(cargo.server), "--pip", str(cargo.pip), "--torch", choice.torch]
        arguments += ["--folder", str(environment_folder()), "--watch-input"]
        arguments += ["--wheels", str(choice.wheels)] if choice.wheels else []
        with log.open("wb") as output:
            command = [str(python), "-I", "-c", _RUN, str(cargo.server), *arguments]
            self._process = _start(command, output, log.parent)
        self._output = log.open("rb")

    def poll(self, progress: Progress) -> bool:
        """Read what is new, and show it; return whether the installer has ended. Raises `EDTalkError` if it failed."""
        status = self._process.poll()  # before reading: what was written by then is read
        *lines, self._rest = (self._rest + self._output.read()).split(b"\n")
        for line in lines:
            if line.startswith(NEWS.encode()):
                self._hear(json.loads(line[len(NEWS) :]), progress)
        if status is None:
            return False
        if self._error is not None:
            raise self._error
        if status != 0 or self.installed is None:
            raise EDTalkError(
                ErrorCode.SERVER_UNREACHABLE,
                f"Installing the server ended early (status {status}).",
                "Press Install Server again: it continues with what is already there.",
            )
        return True

    def _hear(self, news: dict[str, Any], progress: Progress) -> None:
        if "stage" in news:
            progress.begin(_STAGES.get(str(news["stage"]), str(news["stage"])))
        if "total" in news:
            progress.done, progress.total = int(news["done"]) // 10**6, max(1, int(news["total"]) // 10**6)
            progress.counted = "MB"
        if "python" in news:
            self.installed = Path(news["python"])
        if "cause" in news:
            self._error = EDTalkError(ErrorCode.SERVER_UNREACHABLE, str(news["cause"]), str(news["fix"]))

    def close(self) -> None:
        """End it where it is."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._output.close()


def _start(command: list[str], output: IO[bytes], folder: Path) -> subprocess.Popen[bytes]:
    """Start the installer apart from Blender's terminal and Python settings, in a group of its own. It runs in
    `folder`: pip would take modules of the artist's folder, a `json.py` say, for Python's."""
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=_environment(),
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        start_new_session=os.name == "posix",
    )


def _environment() -> dict[str, str]:
    """Return this process's environment without Blender's Python settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
