"""Our virtual environments inside the checkout: created, filled by pip, and left alone while they are current."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from .steps import Runner, SetupError

TORCH = "torch==2.13.0"
"""The version that was tested. pyproject.toml says what is allowed, this and the locked files say what is installed."""

LOCKED = {"": "locked.txt", "train": "locked-train.txt"}
"""Files beside this one with exact versions and their hashes, as `.ci/lock_packages.py` writes them: what the server
needs, and what a group of packages adds."""

STAMP = "edtalk-stamp"
OLDEST_PYTHON = (3, 11)

NO_NETWORK = re.compile(
    "Failed to establish a new connection|Temporary failure in name resolution|Network is unreachable"
    "|getaddrinfo failed|Max retries exceeded|NewConnectionError|ConnectTimeoutError|ProxyError|Read timed out"
)
NO_PACKAGE = re.compile(r"No matching distribution found for (\S+)")
WRONG_HASH = "THESE PACKAGES DO NOT MATCH THE HASHES"

PROGRESS = {"PIP_PROGRESS_BAR": "raw", "PIP_RESUME_RETRIES": "5"}
"""Settings of pip: lines that say how far a download is, and to go on with one that broke off."""
KNOWS_PROGRESS = (24, 1)
"""The pip from which on it knows them."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment; `creator` is the Python that makes it. A stamp says by which rules it was filled.

    `pip_wheel` is a wheel of pip, for Pythons that cannot put pip into environments (Debian's, without python3-venv).
    """

    folder: Path
    runner: Runner
    wheels: Path | None = None
    creator: str = sys.executable
    pip_wheel: Path | None = None

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
        """Create it, unless its Python runs, is new enough and has pip; otherwise replace it."""
        version = python_version(self.python)
        if version is not None and version >= OLDEST_PYTHON and pip_version(self.python):
            return
        clear = ["--clear"] if self.folder.exists() else []
        bare = ["--without-pip"] if self.pip_wheel else []
        try:
            self.runner.run(
                f"make the environment {self.folder.name}",
                [self.creator, "-m", "venv", *clear, *bare, str(self.folder)],
            )
            if self.pip_wheel:  # a wheel of pip runs as it is, and installs itself
                own = [self.python, str(self.pip_wheel / "pip"), "install", "--no-index", str(self.pip_wheel)]
                self.runner.run("put pip into it", own)
        except subprocess.CalledProcessError as error:
            raise explain(error.output) from error

    def install(self, title: str, *arguments: str) -> None:
        """Run `pip install`, from the offline folder if there is one. Raises `SetupError`."""
        self.pip(title, "install", *arguments)

    def pip(self, title: str, action: str, *arguments: str) -> str:
        """Run pip and return its output. Raises `SetupError`."""
        offline = ["--no-index", "--find-links", str(self.wheels)] if self.wheels else []
        command = [self.python, "-m", "pip", action, "--no-input", *_quick(action), *offline, *arguments]
        try:
            return self.runner.run(
                title, command, **(PROGRESS if pip_version(self.python) >= KNOWS_PROGRESS else {})
            )
        except subprocess.CalledProcessError as error:
            raise explain(error.output, self.wheels) from error

    def bring_pip_up_to_date(self) -> None:
        """Install the pip that was tested: older ones say nothing of a download, and do not resume one. Where it is not
        to be had, the one that is there will do."""
        try:
            self.install("pip", locked_version("pip"))
        except SetupError:
            self.runner.say("    not there: going on with the pip that came with Python")

    def install_locked(self, title: str, group: str = "") -> None:
        """Install exactly the packages of a locked file, checked by their hashes."""
        with locked_file(group) as file:
            self.install(title, "--no-deps", "--require-hashes", "--requirement", str(file))


@contextmanager
def locked_file(group: str = "") -> Iterator[Path]:
    """Yield a locked file, also where this program runs out of a wheel."""
    place = files(__package__) / LOCKED[group]
    with as_file(place) as file:
        yield file


def locked_version(name: str) -> str:
    """Return `NAME==VERSION` as the locked file of the server has it."""
    text = (files(__package__) / LOCKED[""]).read_text("utf-8")
    found = re.search(rf"^{re.escape(name)}==[^\s;]+", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{LOCKED['']} has no {name}")
    return found[0]


def _quick(action: str) -> list[str]:
    """Return what spares minutes: what nobody imports needs no compiling, and the rest is compiled when it is."""
    return ["--no-compile"] if action == "install" else []


def answer_of(python: str, code: str, timeout: float) -> str:
    """Return what an interpreter prints for some code. Raises `OSError` or `SubprocessError`.

    It has no input: on Windows a Python does not begin while another process waits for the input that it inherits, as
    `from_addon` does.
    """
    answer = subprocess.run(
        [python, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=True,
    )
    return answer.stdout


def pip_version(python: str) -> tuple[int, ...]:
    """Return the first two numbers of an interpreter's pip; none where it cannot import pip, as in an environment that
    was half made."""
    try:
        answer = answer_of(python, "import pip; print(pip.__version__)", 60)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", answer)[:2])


def fingerprint(root: Path, *facts: object) -> str:
    """Return a digest that changes when an environment from these facts must be refilled, or the checkout moves."""
    project = (root / "pyproject.toml").read_bytes()
    locked = b"".join((files(__package__) / name).read_bytes() for name in LOCKED.values())
    return hashlib.sha256(repr((str(root), TORCH, facts)).encode() + project + locked).hexdigest()


def python_version(python: str) -> tuple[int, int] | None:
    """Return (major, minor) of an interpreter; None when it does not run."""
    try:
        major, minor = answer_of(python, "import sys; print(*sys.version_info[:2])", 60).split()
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
    """Explain the output of pip or venv, which may wrap its lines, to the person who runs it."""
    output, lines = " ".join(output.split()), output.strip().splitlines()
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
    if WRONG_HASH in output:
        return SetupError(
            "A package that was fetched is not the one that this version was tested with.",
            "Try again; if it stays, ask who runs your network or package mirror what changes the files.",
        )
    if missing := NO_PACKAGE.search(output):
        return _explain_missing(missing[1].strip(), wheels)
    tail = "\n    ".join(lines[-8:])
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
