"""The server: its environment `.venv` with the right PyTorch, and the record that tells the add-on where it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import replace

from shared_protocol import __version__, paths

from .environments import PINS, Environment, fingerprint
from .options import Options
from .steps import GIGABYTE, Runner, SetupError, need_disk

NEEDED_BYTES = {"cpu": 2 * GIGABYTE, "cuda": 8 * GIGABYTE}
"""Free disk space that each PyTorch needs."""
ALL_EXTRAS = ("align", "dev", "semantics", "train")
"""All groups of packages in `pyproject.toml`: what the tests need."""
WINDOWS_CUDA = "cu130"
"""Folder of PyTorch's own index with the CUDA build for Windows."""


def install(options: Options, runner: Runner, extras: Collection[str] | None = None) -> Environment:
    """Create `.venv` and install the server in it, unless it is there already. `extras`: default `options.extras`."""
    extras = options.extras if extras is None else extras
    environment = Environment(options.venv, runner, options.wheels)
    kind, why = choose_torch(options.torch, nvidia_driver_answers)
    if any(environment.is_current(mark) for mark in _accepted(options, kind, extras)):
        runner.say(f"- the server's environment {options.venv.name} is up to date")
    else:
        runner.say(f"- PyTorch for: {kind} ({why})")
        need_disk(options.root, NEEDED_BYTES[kind])
        environment.create()
        install_torch(environment, kind, options.torch_index)
        project = f"{options.root}[{','.join(sorted(extras))}]"
        environment.install("the server and what it needs", "--editable", project, *PINS)
        report_device(environment, kind)
        environment.finish(_mark(options, kind, extras))
    return environment


def _mark(options: Options, kind: str, extras: Collection[str]) -> str:
    return fingerprint(options.root, kind, sorted(extras))


def _accepted(options: Options, kind: str, extras: Collection[str]) -> list[str]:
    """Return the marks of acceptable environments: one with more packages; any PyTorch unless one was requested."""
    kinds = NEEDED_BYTES if options.torch == "auto" else (kind,)
    more = (extras, replace(options, train=True).extras, ALL_EXTRAS)
    return [
        _mark(options, each, packages) for each in kinds for packages in more if set(extras) <= set(packages)
    ]


def choose_torch(wanted: str, driver: Callable[[], bool], system: str = sys.platform) -> tuple[str, str]:
    """Return `cpu` or `cuda`, and the reason."""
    if wanted != "auto":
        return wanted, "as asked"
    if system == "darwin":
        return "cpu", "on a Mac this build also uses the Apple GPU"
    if driver():
        return "cuda", "an NVIDIA driver answers; --torch cpu takes the smaller build"
    return "cpu", "no NVIDIA driver answers; --torch cuda takes the other build"


def nvidia_driver_answers() -> bool:
    """Tell whether `nvidia-smi` lists a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "GPU" in answer.stdout


def install_torch(environment: Environment, kind: str, index: str) -> None:
    """Install PyTorch alone, first. The usual index has one build per system; PyTorch's own index has the others."""
    change = ["--force-reinstall"] if installed_torch(environment) not in (None, kind) else []
    other = {("linux", "cpu"): "cpu", ("win32", "cuda"): WINDOWS_CUDA}.get((sys.platform, kind))
    if other and not environment.wheels:
        source = ["--index-url", f"{index.rstrip('/')}/{other}", "--timeout", "5", "--retries", "0"]
        try:
            environment.install(f"PyTorch, {other} build", "--no-deps", *source, *change, PINS[0])
        except SetupError:
            environment.runner.say("    not there: taking the build of the usual index, which may be larger")
        else:
            return
    environment.install("PyTorch", *change, PINS[0])


def installed_torch(environment: Environment) -> str | None:
    """Return the PyTorch build in the environment, `cpu` or `cuda`; None when there is none."""
    question = [environment.python, "-c", "import torch; print('cuda' if torch.version.cuda else 'cpu')"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def report_device(environment: Environment, kind: str) -> None:
    """Ask the installed PyTorch whether it reaches a GPU."""
    code = "import torch; print('EDTALK: PyTorch', torch.__version__, '- CUDA:', torch.cuda.is_available())"
    output = environment.runner.run("try PyTorch", [environment.python, "-c", code])
    if kind == "cuda" and "CUDA: False" in output:
        environment.runner.say(
            "    PyTorch does not reach the GPU (is its driver new enough?): it will use the CPU"
        )


def record(options: Options, runner: Runner, environment: Environment) -> None:
    """Write the one file outside the checkout, which tells the add-on where this server is."""
    place = paths.server_record()
    runner.say(f"- tell the add-on where the server is: {place}")
    if not runner.dry:
        values = {"python": environment.python, "version": __version__, "checkout": str(options.root)}
        paths.write_private(place, json.dumps(values, indent=1).encode())
