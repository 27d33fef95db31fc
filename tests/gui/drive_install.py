"""Runs inside a Blender with a window (see test_install_window.py): from the extension's zip alone to a talking face.
There is no server and no terminal: the panel's button installs the one that the extension carries."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator
from typing import Any

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
import hands
from drive_tutorial import browse, face_is_seen
from drive_window import OUT, SRC, addon, area, character, finished, inside, photograph, result, settled

buttons = hands.Buttons()
LONGEST = 600.0
"""Seconds that unpacking may take on a busy machine."""


def session() -> Any:
    return addon("ui.runtime.runtime").session()


def story() -> Generator[float, None, None]:
    yield from begin_with_nothing()
    yield from look_at_the_dialog()
    yield from cancel_half_way()
    yield from install()
    yield from let_it_talk()


def begin_with_nothing() -> Iterator[float]:
    os.environ["EDTALK_DATA_DIR"] = str(OUT / "data")
    os.environ["LD_LIBRARY_PATH"] = str(
        SRC / "python" / "lib"
    )  # a Python that was put there brings its own library
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"
    window.install()
    addon("ui.runtime.preferences").preferences().server_python = ""
    addon("ui.server.install_operator").register()
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    area("VIEW_3D").spaces.active.show_region_ui = True
    yield 1.0
    yield from window.open_tab("EDTalk")
    yield 0.5
    photograph("nothing.png")


def look_at_the_dialog() -> Iterator[float]:
    """It shows sizes and the folder; Escape leaves everything as it was. Offline, the panel says so afterwards."""
    yield from buttons.press("edtalk.install_server")
    yield 1.5
    photograph("dialog.png")
    result["asks before"] = session().task is None
    hands.press("Escape")
    yield 6.0  # a slow window closes the dialog late, and a second Escape would be the task's
    result["refused"] = not (OUT / "data" / "server").exists()


def begin() -> None:
    """What the dialog does after OK, with the folder of packages and the Python typed into it."""
    with inside("VIEW_3D"):
        bpy.ops.edtalk.install_server(
            "INVOKE_DEFAULT",
            asked=True,
            torch="cpu",
            wheels=str(SRC / "wheels"),
            python=str(SRC / "python" / "bin" / "python3.11"),
        )


def cancel_half_way() -> Iterator[float]:
    begin()
    yield from hands.until(lambda: "PyTorch" in session().task.progress.stage, 240)
    yield 1.0
    photograph("installing.png")
    begun = time.monotonic()
    hands.press("Escape")
    yield from hands.until(lambda: session().task is None)
    result["cancelled after"] = time.monotonic() - begun
    yield 2.0


def install() -> Iterator[float]:
    """It goes on from what is there. The window lives meanwhile: the longest time between two of its ticks tells."""
    begin()
    begun = last = time.monotonic()
    longest, stages = 0.0, list[str]()
    while session().task is not None and time.monotonic() - begun < LONGEST:
        stage = session().task.progress.stage
        stages += [stage] if stage not in stages else []
        yield 0.05
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    result["failure"], result["stages"], result["longest pause"] = session().failure, stages, longest
    result["installed in"] = time.monotonic() - begun
    result["status"] = session().status.line
    yield 0.5
    photograph("installed.png")


def let_it_talk() -> Iterator[float]:
    begun = time.monotonic()
    yield from buttons.press("edtalk.new_character")
    yield from browse(SRC / "portrait.png")
    yield from hands.until(lambda: session().task is not None)
    yield from finished()
    yield from hands.until(face_is_seen, 240)
    result["first face after"] = time.monotonic() - begun
    photograph("face.png")
    with inside("VIEW_3D"):
        bpy.ops.edtalk.choose_voice(filepath=str(SRC / "voice.flac"), add_strip=True, fit_range=True)
    yield from buttons.press("edtalk.predict")
    yield from finished()
    result["curves"] = len(addon("scene.keys.actions").curves(character()))
    bpy.context.scene.frame_set(window.widest_mouth())
    yield from settled()
    yield 1.5
    photograph("talking.png")
    session().close()
    yield 1.0


if __name__ == "__main__":
    window.begin(story())
