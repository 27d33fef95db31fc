"""From the extension's zip alone to a face that talks, in a real Blender window: the panel installs the server.

It unpacks a gigabyte, so it runs only where EDTALK_GUI_WHEELS names a folder with the packages of the server
(docs/install.md says how to fill one), and EDTALK_GUI_PYTHON the folder of a Python 3.11 that works in any place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WHEELS, PYTHON = os.environ.get("EDTALK_GUI_WHEELS", ""), os.environ.get("EDTALK_GUI_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (WHEELS and PYTHON), reason="EDTALK_GUI_WHEELS and EDTALK_GUI_PYTHON name nothing"
    ),
]


@pytest.fixture(scope="module")
def seen(source: Path, drive: Callable[..., dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What happened in the window."""
    shutil.copytree(WHEELS, source / "wheels", copy_function=os.link)
    without = shutil.ignore_patterns("site-packages", "test", "__pycache__", "share")
    shutil.copytree(PYTHON, source / "python", symlinks=True, ignore=without)
    (source / "python" / "lib" / "python3.11" / "site-packages").mkdir(exist_ok=True)
    missing = r".*(Repository data|is not installed|cancelled).*"
    yield drive("drive_install", 0, "1280x900", said=(missing,), LIMIT="860")


def test_the_dialog_asks_first_and_escape_changes_nothing(seen: dict[str, Any]) -> None:
    assert seen["asks before"] and seen["refused"]


def test_a_cancel_answers_and_the_next_try_goes_on(seen: dict[str, Any]) -> None:
    assert seen["cancelled after"] < 3.0
    assert "Making an environment" not in seen["stages"], "it was made before the cancel"


def test_the_server_is_installed_while_the_window_lives(seen: dict[str, Any]) -> None:
    assert seen["failure"] is None and seen["status"] == "Server: ready"
    assert {"Fetching PyTorch", "Fetching packages", "Unpacking the server"} <= set(seen["stages"])


def test_a_new_character_talks(seen: dict[str, Any]) -> None:
    assert seen["curves"] == 36 + 8
