"""Runs inside a Blender with a window (see test_server_window.py): the server and its model bundles, by the panel's
buttons, pressed with the mouse."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
import hands
from drive_window import OUT, addon, area, finished, photograph, result

buttons = hands.Buttons()
OPEN = tuple(f"server.server_panel.{name}" for name in ("ServerPanel", "ServerDetailsPanel", "BundlesPanel"))


def session() -> Any:
    return addon("ui.runtime.runtime").session()


def story() -> Generator[float, None, None]:
    yield from prepare()
    yield from start()
    yield from copy_diagnostics()
    yield from restart()
    yield from import_nothing()
    yield from download()
    yield from use()
    yield from stop()
    yield from fail()


def prepare() -> Iterator[float]:
    """An empty scene, and the panels of the server and the bundles open."""
    window.install(*OPEN)
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    area("VIEW_3D").spaces.active.show_region_ui = True
    yield 1.0
    yield from window.open_tab("EDTalk")
    photograph("stopped.png")


def start() -> Iterator[float]:
    result["before"] = session().status.line
    yield from buttons.press("edtalk.start_server")
    result["starting"] = session().status.line
    photograph("starting.png")
    yield from finished()
    yield from hands.until(lambda: bool(addon("ui.server.bundle_operators").known_bundles()))
    yield 0.5
    result["started"] = session().status.line
    result["bundles"] = [one.name for one in addon("ui.server.bundle_operators").known_bundles()]
    photograph("ready.png")


def copy_diagnostics() -> Iterator[float]:
    yield from buttons.press("edtalk.copy_diagnostics")
    yield 0.3
    result["copied"] = bpy.context.window_manager.clipboard


def restart() -> Iterator[float]:
    before = session().server.connection.pid
    yield from buttons.press("edtalk.restart_server")
    yield from finished()
    result["restarted"] = [session().status.line, session().server.connection.pid != before]


def browsers() -> list[bpy.types.Window]:
    return [one for one in bpy.context.window_manager.windows if one.screen.areas[0].type == "FILE_BROWSER"]


def import_nothing() -> Iterator[float]:
    """The file browser opens, and Escape closes it."""
    yield from buttons.press("edtalk.import_bundle")
    yield from hands.until(lambda: bool(browsers()))
    yield 2.0
    photograph("import.png")
    result["browsers"] = len(browsers())
    browser = browsers()[0]
    low = window.window().height - browser.y  # Blender counts from below
    hands.move((browser.x + browser.width // 2, low - browser.height // 2))
    yield 0.5
    hands.press("Escape")
    yield from hands.until(lambda: not browsers())
    yield 1.0
    result["after cancelling"] = [len(browsers()), session().task is None, session().trouble]


def download() -> Iterator[float]:
    """Refused while Blender is offline; then a dialog tells the licence, and Escape or Enter answer it."""
    place = yield from buttons.find("edtalk.download_bundle")
    hands.mouse("mousemove_relative", "2", "1")
    yield 2.0  # its tooltip says why it is grey
    photograph("offline.png")
    yield from hands.click(place)
    yield 1.0
    result["offline"] = [
        session().task is None,
        [one.installed for one in addon("ui.server.bundle_operators").known_bundles()],
    ]
    hands.move(
        hands.at(window.region(area("VIEW_3D")), 300, 300)
    )  # under the mouse a button stays as grey as it was
    yield 0.5
    bpy.context.preferences.system.use_online_access = True
    area("VIEW_3D").tag_redraw()
    yield 0.5
    yield from buttons.press("edtalk.download_bundle")
    yield 1.0
    photograph("licence.png")
    result["asks before"] = session().task is None
    hands.press("Escape")
    yield 1.0
    result["refused"] = [
        session().task is None,
        [one.installed for one in addon("ui.server.bundle_operators").known_bundles()],
    ]
    yield from buttons.press("edtalk.download_bundle")
    yield 1.0
    hands.press("Return")
    yield from hands.until(lambda: session().task is not None)
    yield from finished()
    result["downloaded"] = [one.installed for one in addon("ui.server.bundle_operators").known_bundles()]
    yield 0.5
    photograph("downloaded.png")


@contextmanager
def no_server_starts() -> Iterator[None]:
    """Let new servers wait: what is to come in between does, however fast they are."""
    hold = OUT / "hold"
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


def use() -> Iterator[float]:
    """The server restarts with the other bundle, even when another file is opened meanwhile."""
    bpy.context.preferences.system.use_online_access = (
        False  # Blender would look for its own assets in the new file
    )
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "other.blend"))
    wanted = next(one for one in addon("ui.server.bundle_operators").known_bundles() if one.name == "second")
    with no_server_starts():
        yield from buttons.press(f'edtalk.use_bundle(path="{wanted.path}")')
        yield from hands.until(lambda: session().task is not None)
        begun = session().task
        with window.inside("VIEW_3D"):
            bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath, load_ui=False)
        yield 0.5
        result["continues after opening"] = begun is not None and session().task is begun
    yield from finished()
    chosen = addon("ui.runtime.preferences").preferences().bundle
    result["used"] = [wanted.path, chosen, list(session().server.options)]
    photograph("used.png")


def stop() -> Iterator[float]:
    yield from buttons.press("edtalk.stop_server")
    yield from hands.until(lambda: not session().is_connected)
    yield 0.5
    result["stopped"] = session().status.line
    photograph("stopped_again.png")


def fail() -> Iterator[float]:
    """Without a server's Python, the panel says what is wrong and what to do."""
    addon("ui.runtime.preferences").preferences().server_python = "/nowhere/python"
    hands.move(hands.at(window.region(area("VIEW_3D")), 300, 300))
    area("VIEW_3D").tag_redraw()  # Install Server comes on top, and moves all others
    yield 1.0
    yield from buttons.press("edtalk.start_server")
    yield from hands.until(lambda: session().trouble is not None)
    yield 0.5
    result["trouble"] = session().trouble
    photograph("trouble.png")


if __name__ == "__main__":
    window.begin(story())
