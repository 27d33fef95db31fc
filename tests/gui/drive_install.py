"""Runs inside a Blender with a window (see test_install_window.py): from the extension's zip alone to a talking face.
There is no server and no terminal: the panel's button installs the one that the extension carries, from a folder of
packages (HOW=folder), or from the package index (HOW=index) by the Python that Blender has."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
import hands
from drive_tutorial import browse, face_is_seen
from drive_window import OUT, SRC, addon, area, character, finished, inside, photograph, result, settled

buttons = hands.Buttons()
IS_DOWNLOADED, TORCH = os.environ["HOW"] == "index", os.environ.get("TORCH", "cpu")
LONGEST = 1500.0 if IS_DOWNLOADED else 600.0
"""Seconds that fetching and unpacking may take on a busy machine."""
KIND, ONLINE = (900, 136), (823, 260)
"""Where the dialog has the menu of PyTorch's builds and the switch that lets Blender go online: Blender tells scripts
nothing of dialogs."""


def session() -> Any:
    return addon("ui.runtime.runtime").session()


def story() -> Generator[float, None, None]:
    yield from begin_with_nothing()
    yield from look_at_the_dialog()
    if IS_DOWNLOADED:
        yield from agree_to_the_download()
    else:
        yield from cancel_half_way()
        begin()
    yield from open_another_file()
    yield from install()
    yield from let_it_talk()


def begin_with_nothing() -> Iterator[float]:
    os.environ["EDTALK_DATA_DIR"] = str(OUT / "data")
    if IS_DOWNLOADED:
        for name in ("TMPDIR", "PIP_CACHE_DIR"):  # gigabytes, too many for what this root has in memory
            (OUT / name).mkdir()
            os.environ[name] = str(OUT / name)
        if (certificates := SRC / "certificates.pem").exists():
            os.environ["PIP_CERT"] = str(certificates)
    else:  # a Python that was put there brings its own library
        os.environ["LD_LIBRARY_PATH"] = str(SRC / "python" / "lib")
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


def agree_to_the_download() -> Iterator[float]:
    """With the mouse: the build of PyTorch, the switch that lets Blender go online, and OK."""
    yield from buttons.press("edtalk.install_server")
    yield 1.5
    if TORCH == "cuda":
        hands.move(KIND)
        yield 0.5
        hands.mouse("keydown", "ctrl", "click", "5", "keyup", "ctrl")
        yield 0.5
    yield from hands.click(ONLINE)
    yield 1.0
    photograph("agreed.png")
    result["online"] = bpy.app.online_access
    hands.press("Return")
    yield from hands.until(lambda: session().task is not None)
    result["begun"] = session().task is not None


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


def open_another_file() -> Iterator[float]:
    """An installation is this Blender's, not the file's."""
    yield from hands.until(lambda: session().task is None or "PyTorch" in session().task.progress.stage, 240)
    begun = session().task
    with inside("VIEW_3D"):
        bpy.ops.wm.read_homefile(use_empty=True, load_ui=False)
    yield 1.0
    result["continues"] = begun is not None and session().task is begun
    photograph("another_file.png")


def install() -> Iterator[float]:
    """It goes on from what is there. The window lives meanwhile: the longest time between two of its ticks tells."""
    begun = last = time.monotonic()
    longest, stages, seen = 0.0, list[str](), set[str]()
    while session().task is not None and time.monotonic() - begun < LONGEST:
        stage = session().task.progress.stage
        stages += [stage] if stage not in stages else []
        yield 0.05
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        if "packages" in stage and "fetching" not in seen:
            seen.add("fetching")
            photograph("fetching.png")
    result["failure"], result["stages"], result["longest pause"] = session().failure, stages, longest
    result["installed in"] = time.monotonic() - begun
    for log in Path(addon("ui.server.install_operator").places.log_dir()).glob("install*.log"):
        shutil.copy(log, OUT)
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
    result["face is seen"] = face_is_seen()
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
