"""A real Blender window on a virtual screen, driven by scripts that run inside it (`drive_*.py`).

Needs a folder with a Debian that has Blender and Xvfb (EDTALK_GUI_ROOT), root rights, and the script that runs it
(EDTALK_GUI_RUN, called with that folder, a source and an output folder, and Blender's arguments). The server runs
outside. With EDTALK_GUI_MODEL=1 it runs the shipped bundle, else no model. EDTALK_GUI_OUT keeps the pictures, in a
folder for each script.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLES = ROOT / "edtalk_server" / "samples"
PLACE, RUN = os.environ.get("EDTALK_GUI_ROOT", ""), os.environ.get("EDTALK_GUI_RUN", "")
Drive = Callable[..., dict[str, Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gui)
            item.add_marker(pytest.mark.timeout(900))
            if not (PLACE and RUN):
                reason = "no Blender with a window here (EDTALK_GUI_ROOT, EDTALK_GUI_RUN)"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What Blender sees: the plain package, portrait, voice, the scripts, and the way to a running server."""
    folder = tmp_path_factory.mktemp("src")
    build = [
        sys.executable,
        str(ROOT / "blender_addon" / "build.py"),
        "--flavor",
        "plain",
        "--out",
        str(folder),
    ]
    subprocess.run(build, check=True, capture_output=True)
    for file in (SAMPLES / "portrait.png", SAMPLES / "voice.flac", *HERE.glob("drive_*.py")):
        shutil.copy(file, folder)
    command = [sys.executable, "-m", "edtalk_server.cli", "serve", "--threads", "1"]
    command += ["--connection-file", str(folder / "server.json")]
    command += [] if os.environ.get("EDTALK_GUI_MODEL") else ["--fake"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["ready"]
        yield folder
        server.terminate()


@pytest.fixture(scope="module")
def drive(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Run a script of this folder in a Blender window; what it saw."""

    def driven(script: str, frames: int, size: str = "1600x900", **variables: str) -> dict[str, Any]:
        """`variables` are the script's; LIMIT is how many seconds it may take."""
        kept = os.environ.get("EDTALK_GUI_OUT")
        out = Path(kept) / script if kept else tmp_path_factory.mktemp(script)
        out.mkdir(parents=True, exist_ok=True)
        handed_on = " ".join(
            f"{name}={value}" for name, value in {"FRAMES": str(frames), **variables}.items()
        )
        environment = os.environ | {"LIMIT": "600", "GEOM": size, **variables, "PASS": handed_on}
        command = ["bash", RUN, PLACE, str(source), str(out), "--factory-startup"]
        command += ["--python", f"/mnt/src/{script}.py"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (out / "result.json").exists(), done.stdout + done.stderr
        result = json.loads((out / "result.json").read_text())
        assert "error" not in result, result["error"] + done.stderr
        return dict(result)

    return driven
