"""The server: its environment `.venv` with the right PyTorch, and the record that tells the add-on where it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from shared_protocol import __version__, paths

from .environments import TORCH, Environment, answer_of, fingerprint
from .options import Options
from .steps import GIGABYTE, Runner, SetupError, need_disk

NEEDED_BYTES = {"cpu": 2 * GIGABYTE, "cuda": 9 * GIGABYTE}
"""Free disk space that each PyTorch needs, with pip's cache."""
DOWNLOAD_BYTES = {"cpu": GIGABYTE // 2, "cuda": 3 * GIGABYTE}
"""About how much is downloaded."""
ALL_EXTRAS = ("align", "dev", "semantics", "train")
"""All groups of packages in `pyproject.toml`: what the tests need."""
NOT_LOCKED = ("dev", "semantics")
"""Groups that only the tests install."""
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
        kind = fill(environment, kind, options.torch_index)
        if "train" in extras:
            environment.install_locked("what training needs", "train")
        editable = ["--no-build-isolation", "--editable"]
        environment.install("the server", "--no-deps", *editable, str(options.root))
        if others := sorted(set(extras) & set(NOT_LOCKED)):
            environment.install("what the tests need", *editable, f"{options.root}[{','.join(others)}]")
        report_device(environment, kind)
        environment.finish(_mark(options, kind, extras))
    return environment


def fill(environment: Environment, kind: str, torch_index: str) -> str:
    """Install pip, PyTorch and all that the server needs but itself; return the kind of PyTorch that it became."""
    environment.bring_pip_up_to_date()
    kind = install_torch(environment, kind, torch_index)
    environment.install_locked("what the server needs")
    return kind


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


def install_torch(environment: Environment, kind: str, index: str) -> str:
    """Install PyTorch alone, first, and return its kind. The usual index has one build per system; PyTorch's own index
    has the others. Where that one cannot be reached, the usual one may have only a build that is far larger: `agree` is
    asked then."""
    is_there = installed_torch(environment)
    if is_there == kind and not environment.runner.dry:
        environment.runner.say("- PyTorch is there already")
        return kind
    change = ["--force-reinstall"] if is_there is not None else []
    other = {("linux", "cpu"): "cpu", ("win32", "cuda"): WINDOWS_CUDA}.get((sys.platform, kind))
    if other and not environment.wheels:
        source = ["--index-url", f"{index.rstrip('/')}/{other}", "--timeout", "5", "--retries", "0"]
        try:
            environment.install(f"PyTorch, {other} build", "--no-deps", *source, *change, TORCH)
        except SetupError:
            environment.runner.say(f"    {index} cannot be reached")
        else:
            return kind
        if sys.platform == "linux" and not offers_cpu_build(environment):
            agree(environment)
            kind = "cuda"
    with_libraries = sys.platform == "linux" and kind == "cuda"
    environment.install("PyTorch", *([] if with_libraries else ["--no-deps"]), *change, TORCH)
    return kind


def offers_cpu_build(environment: Environment) -> bool:
    """Return whether the usual index, or a folder that pip is told of, has the build for processors."""
    look = ["--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", "-", TORCH]
    return "+cpu" in environment.pip("look for PyTorch elsewhere", "install", *look)


def agree(environment: Environment, ask: Callable[[str], str] = input) -> None:
    """Say how large the build with CUDA is, make sure that it has room, and ask where somebody can answer.

    Raises `SetupError` where the answer is no, or where nobody should decide that (`Runner.may_enlarge`).
    """
    runner, kind = environment.runner, "cuda"
    sizes = f"{DOWNLOAD_BYTES[kind] / GIGABYTE:.0f} GB to download, {NEEDED_BYTES[kind] / GIGABYTE:.0f} GB of disk"
    runner.say(f"    the usual index has only the build with CUDA: {sizes}. It runs on the processor as well")
    refusal = SetupError(
        "PyTorch for processors can be had neither from PyTorch's own index nor from the usual one.",
        "Try again when the first can be reached, name a mirror with --torch-index, or take the large build with "
        "--torch cuda.",
    )
    if not runner.may_enlarge:
        raise refusal
    need_disk(environment.folder.parent, NEEDED_BYTES[kind])
    if (
        not runner.dry
        and sys.stdin is not None
        and sys.stdin.isatty()
        and ask("Take it? [y/N] ").strip().lower() not in ("y", "yes")
    ):
        raise refusal


def installed_torch(environment: Environment) -> str | None:
    """Return the PyTorch build in the environment, `cpu` or `cuda`; None when there is none."""
    question = "import torch; print('cuda' if torch.version.cuda else 'cpu')"
    try:
        return answer_of(environment.python, question, 120).strip()
    except (OSError, subprocess.SubprocessError):
        return None


def report_device(environment: Environment, kind: str) -> None:
    """Ask the installed PyTorch whether it reaches a GPU."""
    code = "import torch; print('EDTALK: PyTorch', torch.__version__, '- CUDA:', torch.cuda.is_available())"
    output = environment.runner.run("try PyTorch", [environment.python, "-c", code])
    if kind == "cuda" and "CUDA: False" in output:
        environment.runner.say(
            "    PyTorch does not reach the GPU (is its driver new enough?): it will use the CPU"
        )


def record(
    options: Options,
    runner: Runner,
    environment: Environment,
    *,
    takes_over: bool = True,
    checkout: str | None = None,
) -> dict[str, str]:
    """Write the one file outside the checkout, which tells the add-on where this server is; return variables for
    programs that must use this one whatever the file says.

    The servers of other checkouts that still exist stay in it, so that the add-on finds them when this one is deleted.
    Without `takes_over`, another server that is recorded first stays first.
    """
    mine = {
        "python": environment.python,
        "version": __version__,
        "checkout": str(options.root) if checkout is None else checkout,
    }
    here = {"EDTALK_SERVER_PYTHON": environment.python}
    others = [each for each in recorded() if each["python"] != environment.python]
    if others and not takes_over:
        runner.say(
            f"- the add-on goes on using the server of {_place(others[0])}; this folder's own is left to itself"
        )
        return here
    place = paths.server_record()
    runner.say(f"- tell the add-on where the server is: {place}")
    if others:
        runner.say(
            f"    it used the one of {_place(others[0])} until now; `install.py` there goes back to it"
        )
    if not runner.dry:
        try:
            paths.write_private(place, json.dumps({**mine, "others": others}, indent=1).encode())
        except OSError as error:
            runner.say(f"    {place} cannot be written ({error.strerror or error}).")
            runner.say(
                f"    In Blender: Preferences > Add-ons > EDTalk > Server's Python: {environment.python}"
            )
    return here


def recorded() -> list[dict[str, str]]:
    """Return the servers of the record that still exist, the one in use first."""
    try:
        found = json.loads(paths.server_record().read_text(encoding="utf-8"))
        listed = [found, *found.get("others", [])]
        known = [
            {key: str(each.get(key) or "") for key in ("python", "version", "checkout")} for each in listed
        ]
    except (OSError, ValueError, AttributeError, TypeError):
        return []
    return [each for each in known if each["python"] and Path(each["python"]).is_file()]


def _place(server: dict[str, str]) -> str:
    return server["checkout"] or str(Path(server["python"]).parent.parent)
