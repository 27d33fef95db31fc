"""The server in the panel of a real Blender window: its buttons, and the dialogs of the model bundles."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

STARTER = Path(__file__).parents[2] / "edtalk_server" / "bundles" / "starter"
FILES = ("bundle.json", *json.loads((STARTER / "bundle.json").read_text("utf-8"))["files"])


class Shop(SimpleHTTPRequestHandler):
    """Hands out files and says nothing about it."""

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def offer(servers_data: Path) -> Iterator[None]:
    """A catalogue with one bundle, which a web server of this machine has."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Shop, directory=str(STARTER))) as shop:
        threading.Thread(target=shop.serve_forever, daemon=True).start()
        contents = {name: (STARTER / name).read_bytes() for name in FILES}
        entry = {
            "name": "second",
            "title": "A Second One",
            "version": "7",
            "licence": "CC-BY-4.0",
            "description": "Said to be better.",
            "size": 256,
            "address": f"http://127.0.0.1:{shop.server_address[1]}",
            "files": {
                name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
                for name, data in contents.items()
            },
        }
        catalogue = {"format": "edtalk-catalogue", "format_version": 1, "bundles": [entry]}
        (servers_data / "catalogue.json").write_text(json.dumps(catalogue))
        yield
        shop.shutdown()


@pytest.fixture(scope="module")
def seen(offer: None, drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    missing = r".*The server's Python no longer exists: /nowhere/python\..*"
    return drive("drive_server", 25, "1000x1000", said=(missing,))


def test_start_starts_it_and_stop_ends_it(seen: dict[str, Any]) -> None:
    assert seen["before"] == "Server: stopped"
    assert seen["starting"].startswith("Server: starting")
    assert seen["started"] == "Server: ready"
    assert seen["stopped"] == "Server: stopped"


def test_restart_brings_another_one(seen: dict[str, Any]) -> None:
    assert seen["restarted"] == ["Server: ready", True]


def test_diagnostics_are_on_the_clipboard(seen: dict[str, Any]) -> None:
    assert seen["blender"] in seen["copied"] and "starting" in seen["copied"]


def test_the_import_asks_for_a_folder_and_may_be_cancelled(seen: dict[str, Any]) -> None:
    assert seen["browsers"] == 1
    assert seen["after cancelling"] == [0, True, None]


def test_nothing_is_downloaded_while_blender_is_offline(seen: dict[str, Any]) -> None:
    assert seen["offline"] == [True, [True, False]]


def test_a_download_asks_first_and_escape_refuses_it(seen: dict[str, Any]) -> None:
    assert seen["asks before"]
    assert seen["refused"] == [True, [True, False]]


def test_enter_downloads_it(seen: dict[str, Any]) -> None:
    assert seen["bundles"] == ["starter", "second"]
    assert seen["downloaded"] == [True, True]


def test_use_restarts_the_server_with_it(seen: dict[str, Any]) -> None:
    path, chosen, options = seen["used"]
    assert chosen == path and options == ["--bundle", path]


def test_work_on_the_server_goes_on_when_another_file_is_opened(seen: dict[str, Any]) -> None:
    assert seen["continues after opening"]


def test_what_is_missing_is_said_with_what_to_do(seen: dict[str, Any]) -> None:
    cause, fix = seen["trouble"]
    assert "/nowhere/python" in cause and "Install Server" in fix
