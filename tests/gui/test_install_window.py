"""From the extension's zip alone to a face that talks, in a real Blender window: the panel installs the server.

It unpacks gigabytes, so it runs only where it is asked for: where EDTALK_GUI_WHEELS names a folder with the packages
of the server (docs/install.md says how to fill one), and EDTALK_GUI_PYTHON the folder of a Python 3.11 that works in
any place; and with EDTALK_GUI_INDEX=cpu or cuda, from the package index: with what the root has, no Python and no
folder beside it. Of pip's settings, those in PIP_INDEX_URL and PIP_CERT go with it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WHEELS, PYTHON = os.environ.get("EDTALK_GUI_WHEELS", ""), os.environ.get("EDTALK_GUI_PYTHON", "")
INDEX = os.environ.get("EDTALK_GUI_INDEX", "")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
MISSING = r".*(Repository data|is not installed|cancelled).*"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            "folder",
            marks=pytest.mark.skipif(not (WHEELS and PYTHON), reason="no EDTALK_GUI_WHEELS and _PYTHON"),
        ),
        pytest.param("index", marks=pytest.mark.skipif(not INDEX, reason="no EDTALK_GUI_INDEX")),
    ],
)
def seen(
    request: pytest.FixtureRequest, source: Path, drive: Callable[..., dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """What happened in the window."""
    if request.param == "index":
        if certificates := os.environ.get("PIP_CERT"):
            shutil.copy(certificates, source / "certificates.pem")
        settings = {name: os.environ[name] for name in ("PIP_INDEX_URL",) if name in os.environ}
        yield drive(
            "drive_install",
            0,
            "1280x900",
            said=(MISSING,),
            LIMIT="2300",
            HOW="index",
            TORCH=INDEX,
            **settings,
        )
        return
    shutil.copytree(WHEELS, source / "wheels", copy_function=os.link)
    without = shutil.ignore_patterns("site-packages", "test", "__pycache__", "share")
    shutil.copytree(PYTHON, source / "python", symlinks=True, ignore=without)
    (source / "python" / "lib" / "python3.11" / "site-packages").mkdir(exist_ok=True)
    yield drive("drive_install", 0, "1280x900", said=(MISSING,), LIMIT="860", HOW="folder")


def test_the_dialog_asks_first_and_escape_changes_nothing(seen: dict[str, Any]) -> None:
    assert seen["asks before"] and seen["refused"]


def test_a_cancel_answers_and_the_next_try_goes_on(seen: dict[str, Any]) -> None:
    if "cancelled after" not in seen:
        pytest.skip("a download is not begun twice")
    assert seen["cancelled after"] < 3.0
    assert "Making an environment" not in seen["stages"], "it was made before the cancel"


def test_the_server_is_installed_while_the_window_lives(seen: dict[str, Any]) -> None:
    assert seen["failure"] is None and seen["status"] == "Server: ready"
    assert {"Fetching PyTorch", "Fetching packages", "Unpacking the server"} <= set(seen["stages"])


def test_opening_another_file_does_not_end_it(seen: dict[str, Any]) -> None:
    assert seen["continues"]


def test_a_new_character_talks(seen: dict[str, Any]) -> None:
    assert seen["face is seen"] and seen["curves"] == 36 + 8
