"""Our virtual environments inside the checkout: created, filled by pip, and left alone while they are current."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .steps import Runner, SetupError

PINS = ("torch==2.13.0", "opencv-python-headless==4.11.0.86", "numpy>=1.26,<3")
"""The versions that were tested together. pyproject.toml says what is allowed, this says what is installed."""

STAMP = "edtalk-stamp"
OLDEST_PYTHON = (3, 11)

NO_NETWORK = re.compile(
    "Failed to establish a new connection|Temporary failure in name resolution|Network is unreachable"
    "|getaddrinfo failed|Max retries exceeded|NewConnectionError|ConnectTimeoutError|ProxyError|Read timed out"
)
NO_PACKAGE = re.compile(r"No matching distribution found for (.+)")


@dataclass(frozen=True)
class Environment:
    """One virtual environment; `creator` is the Python that makes it. A stamp says by which rules it was filled."""

    folder: Path
    runner: Runner
    wheels: Path | None = None
    creator: str = sys.executable

    @property
    def python(self) -> str:
        return str(self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))

    def is_current(self, mark: str) -> bool:
        """Tell whether it was filled completely by these rules, and its Python still runs."""
        stamp = self.folder / STAMP
        same = stamp.is_file() and stamp.read_text(encoding="ascii") == mark
        return same and python_version(self.python) is not None

    def finish(self, mark: str) -> None:
        """Record by which rules it was filled."""
        if not self.runner.dry:
            (self.folder / STAMP).write_text(mark, encoding="ascii")

    def create(self) -> None:
        """Create it, unless its Python runs and is new enough; otherwise replace it."""
        version = python_version(self.python)
        if version is not None and version >= OLDEST_PYTHON:
            return
        clear = ["--clear"] if self.folder.exists() else []
        command = [self.creator, "-m", "venv", *clear, str(self.folder)]
        try:
            self.runner.run(f"make the environment {self.folder.name}", command)
        except subprocess.CalledProcessError as error:
            raise explain(error.output) from error

    def install(self, title: str, *arguments: str) -> None:
        """Run `pip install`, from the offline folder if there is one. Raises `SetupError`."""
        offline = ["--no-index", "--find-links", str(self.wheels)] if self.wheels else []
        try:
            self.runner.run(title, [self.python, "-m", "pip", "install", "--no-input", *offline, *arguments])
        except subprocess.CalledProcessError as error:
            raise explain(error.output, self.wheels) from error


def fingerprint(root: Path, *facts: object) -> str:
    """Return a digest that changes when an environment from these facts must be refilled, or the checkout moves."""
    project = (root / "pyproject.toml").read_bytes()
    return hashlib.sha256(repr((str(root), PINS, facts)).encode() + project).hexdigest()


def python_version(python: str) -> tuple[int, int] | None:
    """Return (major, minor) of an interpreter; None when it does not run."""
    question = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=60, check=True)
        major, minor = answer.stdout.split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return int(major), int(minor)


def find_python(version: tuple[int, int]) -> str | None:
    """Find an interpreter of exactly this version: the running one, one on the PATH, or one of pyenv or uv."""
    for program in (sys.executable, shutil.which("python{}.{}".format(*version)), *_managed_pythons(version)):
        if program and python_version(program) == version:
            return program
    return None


def _managed_pythons(version: tuple[int, int]) -> list[str]:
    """Return the interpreters of pyenv and uv, which are on the PATH only if somebody put them there."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local" / "share" / "uv" / "python"))
    name = "{}.{}.*".format(*version)
    pythons = [*pyenv.glob(f"{name}/bin/python"), *uv.glob(f"cpython-{name}/bin/python3")]
    return [str(program) for program in pythons]


def explain(output: str, wheels: Path | None = None) -> SetupError:
    """Explain the output of pip or venv to the person who runs it."""
    if "No space left on device" in output or "Errno 28" in output:
        return SetupError("The disk became full while installing.", "Free some space and run this again.")
    if "ensurepip is not available" in output or "No module named venv" in output:
        return SetupError(
            "This Python cannot make environments.",
            "Debian and Ubuntu: apt-get install python3-venv, then run this again.",
        )
    if not wheels and "CERTIFICATE_VERIFY_FAILED" in output:
        return SetupError(
            "The package index answered with a certificate that this system does not trust.",
            "Name your network's certificate file in the variable PIP_CERT, or use --wheels DIR.",
        )
    if not wheels and NO_NETWORK.search(output):
        return SetupError(
            "The package index could not be reached.",
            "Connect to the internet (or tell pip of your proxy), or use --wheels DIR with a folder of packages.",
        )
    if missing := NO_PACKAGE.search(output):
        return _explain_missing(missing[1].strip(), wheels)
    tail = "\n    ".join(output.strip().splitlines()[-8:])
    return SetupError(
        f"Installing failed; its last lines were:\n    {tail}", "runs/install.log has the whole output."
    )


def _explain_missing(package: str, wheels: Path | None) -> SetupError:
    if wheels:
        return SetupError(
            f"The folder {wheels} does not hold {package}.", "docs/install.md says how to fill such a folder."
        )
    version = "{}.{}".format(*sys.version_info[:2])
    return SetupError(
        f"There is no {package} for Python {version} on this system.",
        "Run this with another Python: 3.11, 3.12 and 3.13 are the best served.",
    )
