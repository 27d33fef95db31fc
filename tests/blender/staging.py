"""What tests and benches in Blender need before the first line of theirs: a profile of its own, the packed extension
with its own wheels, and a server without a model."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
MODULE = "bl_ext.user_default.edtalk"
_profiles: list[tempfile.TemporaryDirectory[str]] = []


def set_aside() -> None:
    """Keep away from the user's own Blender, and from the checkout: the extension must find its own wheels. Call it
    before `bpy` is imported."""
    profile = tempfile.TemporaryDirectory(prefix="edtalk-blender-")
    _profiles.append(profile)  # it goes when Python ends
    os.environ["BLENDER_USER_RESOURCES"] = profile.name
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


def server_python() -> Path:
    """The Python of the environment that has the server; it may not be there."""
    folder = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    return Path(os.environ.get("EDTALK_TEST_SERVER_PYTHON", ROOT / ".venv" / folder))


def built(out: Path) -> Path:
    """Return the packed extension for this Blender: from the folder in EDTALK_TEST_PACKAGES, else made in `out`."""
    import bpy

    flavor, label = ("A", "to-5.0") if bpy.app.version < (5, 1, 0) else ("B", "and-later")
    if packed := os.environ.get("EDTALK_TEST_PACKAGES"):
        return next(Path(packed).glob(f"edtalk-*-{label}-*.zip"))
    command = [sys.executable, str(ROOT / "blender_addon" / "build.py"), "--flavor", flavor]
    command += ["--out", str(out)]
    if wheels := os.environ.get("EDTALK_WHEELS"):
        command += ["--wheels", wheels]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def install(package: Path) -> None:
    """Install and enable the extension; its module is `MODULE`."""
    import bpy

    bpy.ops.extensions.package_install_files(
        filepath=str(package), repo="user_default", enable_on_install=True
    )
    assert MODULE in bpy.context.preferences.addons, "Blender refused the package"


def begin_anew() -> None:
    """Open an empty file, with the add-on newly enabled and its preferences as they come.

    Neither Blender's factory settings nor its own way to enable an extension: both unpack all wheels again, which takes
    three times as long as the rest."""
    import addon_utils
    import bpy

    disable()
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    addon_utils.enable(MODULE, default_set=True, refresh_handled=_has_wheels())


def disable() -> None:
    """Disable the extension where it is enabled; its wheels stay."""
    import addon_utils
    import bpy

    if MODULE in bpy.context.preferences.addons:
        addon_utils.disable(MODULE, default_set=True, refresh_handled=True)


def _has_wheels() -> bool:
    """Are the extension's wheels unpacked? They go when Blender disables it, or resets its preferences."""
    import zmq

    return Path(zmq.__file__).exists()


def module(name: str) -> ModuleType:
    """A module of the installed add-on."""
    return importlib.import_module(f"{MODULE}.{name}")


@contextmanager
def serving(python: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server, which the add-on finds by its connection file; `--fake` among the options: without a model."""
    command = [str(python), "-m", "edtalk_server.cli", "serve", *options, "--parent-pid", str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert json.loads(line)["ready"], line
        os.environ["EDTALK_SERVER_PYTHON"] = str(python)
        try:
            yield process
        finally:
            os.environ.pop("EDTALK_SERVER_PYTHON", None)
            process.terminate()
