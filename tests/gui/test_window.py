"""The add-on in a real Blender window on a virtual screen: tasks that do not block it, undo, scrubbing, pictures.

Needs a folder with a Debian that has Blender and Xvfb (EDTALK_GUI_ROOT), root rights, and the script that runs it
(EDTALK_GUI_RUN, called with that folder, a source and an output folder, and Blender's arguments). The server runs
outside. With EDTALK_GUI_MODEL=1 it runs the shipped bundle, else no model. EDTALK_GUI_OUT keeps the pictures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "edtalk_server" / "samples"
PLACE, RUN = os.environ.get("EDTALK_GUI_ROOT", ""), os.environ.get("EDTALK_GUI_RUN", "")
FRAMES = 125

pytestmark = [
    pytest.mark.gui,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (PLACE and RUN), reason="no Blender with a window here (EDTALK_GUI_ROOT, EDTALK_GUI_RUN)"
    ),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What Blender sees: the plain package, portrait, voice, and the way to a running server."""
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
    for file in (SAMPLES / "portrait.png", SAMPLES / "voice.flac", Path(__file__).parent / "drive_window.py"):
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
def seen(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    out = Path(os.environ.get("EDTALK_GUI_OUT") or tmp_path_factory.mktemp("out"))
    environment = os.environ | {"LIMIT": "600", "PASS": f"FRAMES={FRAMES}"}
    command = [
        "bash",
        RUN,
        PLACE,
        str(source),
        str(out),
        "--factory-startup",
        "--python",
        "/mnt/src/drive_window.py",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (out / "result.json").exists(), done.stdout + done.stderr
    result = json.loads((out / "result.json").read_text())
    assert "error" not in result, result["error"] + done.stderr
    return dict(result)


def test_predicting_makes_the_curves(seen: dict[str, Any]) -> None:
    assert seen["curves"] == 36


def test_one_undo_takes_them_back_and_one_redo_brings_them(seen: dict[str, Any]) -> None:
    assert (seen["curves after undo"], seen["curves after redo"]) == (0, 36)


def test_scrubbing_changes_the_picture(seen: dict[str, Any]) -> None:
    assert seen["scrub_changes_picture"] > 0.02
    assert seen["handler_errors"] is None


def test_baking_puts_every_frame_on_the_plane(seen: dict[str, Any]) -> None:
    assert seen["baked"] == FRAMES + 1, "all frames, and the one that is held before the first"
    assert seen["shows"] == "TAKE"


def test_an_undo_while_baking_breaks_nothing(seen: dict[str, Any]) -> None:
    assert seen["undone while baking"], "it was meant to come in between"
    assert seen["shows after undo while baking"] == "TAKE"


def test_the_add_on_may_be_disabled_while_baking(seen: dict[str, Any]) -> None:
    assert seen["disabled while baking"], "it was meant to come in between"
    assert seen["last frame after enabling again"] == FRAMES
