"""A Blender to work in: an installed one, or the Python module `bpy` in its own environment."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .environments import Environment, find_python, fingerprint
from .options import Options
from .steps import GIGABYTE, NEWS, Runner, SetupError, clean_environment, need_disk

MODULES = {
    "4.2.23": ((3, 11), "numpy>=1.26,<2"),
    "4.5.15": ((3, 11), "numpy>=1.26,<2"),
    "5.0.1": ((3, 11), "numpy>=1.26,<2"),
    "5.2.3": ((3, 13), "numpy>=2.2,<3"),
}
"""Versions of `bpy`, the Python that each is built for, and the NumPy that each needs."""

MODULES_FOR_DEMO = ("4.5.15", "5.0.1", "5.2.3")
"""The oldest first: Blenders from 4.2 on open files of 4.5, but not those of newer versions."""
MODULE_FOR_RELEASE = "4.5.15"
"""It has sound, which the module of 4.2 lacks."""

TEST_PACKAGES = ("pytest>=8", "pytest-timeout>=2.3")
MODULE_BYTES = 2 * GIGABYTE
OLDEST_BLENDER = (4, 2)
DEBIAN_PACKAGES = (
    "libx11-6 libxrender1 libxfixes3 libxi6 libxkbcommon0 libsm6 libice6 libgl1 libxxf86vm1 libgomp1 "
    "libegl1 libgl1-mesa-dri"
)

LIBRARIES = (
    *("libX11.so.6", "libXrender.so.1", "libXfixes.so.3", "libXi.so.6"),
    *("libxkbcommon.so.0", "libSM.so.6", "libICE.so.6", "libGL.so.1"),
)
"""Those that the module loads as soon as it is imported."""

_PROBE = f"""
import importlib.util, json, sys, bpy
have = all(importlib.util.find_spec(name) for name in ("zmq", "msgpack"))
print("{NEWS}" + json.dumps([list(bpy.app.version), list(sys.version_info[:2]), have]))
"""


@dataclass(frozen=True)
class Host:
    """A Blender without a window: the program, or a Python with the module. `flavor`: its extension package."""

    program: str
    is_module: bool
    flavor: str

    def command(self, script: Path, *arguments: str) -> list[str]:
        """Return the command that runs a Python script in it, and ends with status 1 when the script raises."""
        if self.is_module:
            return [self.program, str(script), "--", *arguments]
        quiet = ["--background", "--factory-startup", "--python-exit-code", "1"]
        return [self.program, *quiet, "--python", str(script), "--", *arguments]


def find_host(options: Options, runner: Runner) -> Host:
    """Find the Blender for the demo. Raises `SetupError` when there is none, nor a Python that `bpy` is built for."""
    runner.say("- find a Blender")
    for program in candidates(options.blender):
        if host := probe(program, runner):
            return host
    if options.blender:
        raise SetupError(
            f"{options.blender} cannot run the demo.", "Name a Blender 4.2 or newer with --blender."
        )
    runner.say("    none is installed")
    return module_host(options, runner, MODULES_FOR_DEMO)


def module_host(options: Options, runner: Runner, versions: Sequence[str]) -> Host:
    """Install the first of these versions of `bpy` that has its Python here. Raises `SetupError` when there is none."""
    for version in versions:
        if python := find_python(MODULES[version][0]):
            runner.say(f"- take Blender {version} as the Python module bpy")
            environment = install_module(options, runner, version, python)
            return Host(environment.python, True, "A" if MODULES[version][0] == (3, 11) else "B")
    raise SetupError(
        "There is no Blender here, and the module bpy exists for Python 3.11 and 3.13 only.",
        "Install Blender 4.2 or newer (or name it with --blender PATH), or one of those Pythons.",
    )


def candidates(requested: Path | None) -> list[str]:
    """Return programs that may be a Blender, the likeliest first; only the requested one if there is one."""
    if requested:
        return [str(requested)]
    on_path = shutil.which("blender")
    places = [
        path for folder, pattern in _usual_places() for path in sorted(folder.glob(pattern), reverse=True)
    ]
    return ([on_path] if on_path else []) + [str(path) for path in places]


def _usual_places() -> list[tuple[Path, str]]:
    home = Path.home()
    if sys.platform == "win32":
        return [(Path(os.environ.get("PROGRAMFILES", "C:/")), "Blender Foundation/Blender*/blender.exe")]
    if sys.platform == "darwin":
        app = "Blender*.app/Contents/MacOS/Blender"
        return [(Path("/Applications"), app), (home / "Applications", app)]
    return [(Path("/opt"), "blender*/blender"), (home, "blender*/blender"), (Path("/snap/bin"), "blender")]


def probe(program: str, runner: Runner) -> Host | None:
    """Ask a program which Blender it is. Return None, after printing the reason, when it is not suitable."""
    question = [program, "--background", "--factory-startup", "--python-expr", _PROBE]
    environment = clean_environment()
    try:
        answer = subprocess.run(
            question, capture_output=True, text=True, timeout=120, check=False, env=environment
        )
        line = next(text for text in answer.stdout.splitlines() if text.startswith(NEWS))
    except (OSError, StopIteration, subprocess.TimeoutExpired):
        runner.say(f"    {program} does not answer as a Blender")
        return None
    blender, python, has_zmq = json.loads(line[len(NEWS) :])
    flavor, reason = choose_flavor(blender, python, has_zmq)
    name = f"Blender {'.'.join(map(str, blender))} ({program})"
    runner.say(f"    {name}: {reason}")
    return Host(program, False, flavor) if flavor else None


def choose_flavor(blender: Sequence[int], python: Sequence[int], has_zmq: bool) -> tuple[str | None, str]:
    """Return which package of the extension fits this Blender and its Python (None: none does), and the reason.

    Package A carries packages for Blender 4.2 to 5.0, B for 5.1 and newer; `plain` carries none and needs them in
    Blender's Python, as Linux distributions build it.
    """
    if tuple(blender[:2]) < OLDEST_BLENDER:
        return None, "older than 4.2"
    if tuple(blender) < (5, 1) and tuple(python) == (3, 11):
        return "A", "found"
    if tuple(blender) >= (5, 1) and tuple(python) == (3, 13):
        return "B", "found"
    if has_zmq:
        return "plain", "found; it brings pyzmq and msgpack itself"
    return None, "needs its system's packages python3-zmq and python3-msgpack"


def install_module(
    options: Options, runner: Runner, version: str, python: str, *packages: str
) -> Environment:
    """Make the environment `.venv-bpy-VERSION` in which `import bpy` works, with further packages."""
    environment = Environment(options.root / f".venv-bpy-{version}", runner, options.wheels, python)
    numpy = MODULES[version][1]
    # an environment made for the tests also serves the demo
    accepted = [fingerprint(options.root, version, numpy, each) for each in (packages, TEST_PACKAGES)]
    if not any(environment.is_current(mark) for mark in accepted):
        need_libraries()
        need_disk(options.root, MODULE_BYTES)
        environment.create()
        environment.bring_pip_up_to_date()
        environment.install(f"Blender {version} as a Python module", f"bpy=={version}", numpy, *packages)
        try_module(environment)
        environment.finish(accepted[0])
    return environment


def need_libraries(load: Callable[[str], object] = ctypes.CDLL, system: str = sys.platform) -> None:
    """Raise `SetupError` where a bare Linux lacks libraries that the module loads: before it is downloaded."""
    missing = []
    for name in LIBRARIES if system == "linux" else ():
        try:
            load(name)
        except OSError:
            missing.append(name)
    if missing:
        raise SetupError(
            f"Blender needs the system libraries {', '.join(missing)}.",
            f"Debian and Ubuntu: apt-get install {DEBIAN_PACKAGES}",
        )


def try_module(environment: Environment) -> None:
    """Try the import: a bare system lacks libraries. Raises `SetupError` with their names."""
    settings = str(environment.folder / "blender-settings")
    command = [environment.python, "-c", "import bpy"]
    try:
        environment.runner.run("try it", command, BLENDER_USER_RESOURCES=settings)
    except subprocess.CalledProcessError as error:
        raise _explain_import(error.output) from error


def _explain_import(output: str) -> SetupError:
    if missing := re.search(r"(lib[\w.+-]+): cannot open shared object file", output):
        return SetupError(
            f"Blender needs the system library {missing[1]}.",
            f"Debian and Ubuntu: apt-get install {DEBIAN_PACKAGES}",
        )
    return SetupError(
        f"import bpy failed: {output.strip()[-300:]}", "Name an installed Blender with --blender PATH."
    )
