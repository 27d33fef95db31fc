"""Runs inside a Blender with a window (see test_tutorial_window.py): docs/tutorial.md, step by step, as a new user does
it, and the pictures of that page. What a user types into a file browser is set by script; clicks are counted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterator
from itertools import product
from pathlib import Path

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
import hands
from drive_window import OUT, SRC, addon, area, character, finished, region, result, settled

BLEND = OUT / "talk" / "first.blend"
EDITED, FELT = 80, 120
"""Frames at which a key is set on top, and an emotion marked."""
TAKEN_AT = {"edit": EDITED, "happy": 140, "baked": 20}
MENU = 260
"""How far down the menu of the preferences' arrow reaches, in pixels."""
EXPRESSION, HEADER, SLIDER, ROW = 136, 26, 31, 21
"""Pixels at scale 1: from the layer's buttons down to the title Expression; from a closed panel to the next; from a
title to its first slider, from slider to slider."""
TITLE, KEY, MIDDLE = 220, 103, 110
"""From the sidebar's right edge to a title, to the key in it, and to the middle of the sliders."""
SLOW = 240.0
"""Seconds in which the material preview has compiled its shaders, without a graphics card on a busy machine."""
buttons = hands.Buttons()
clicks: list[str] = []


def story() -> Generator[float, None, None]:
    yield from install_from_disk()
    yield from open_the_tab()
    yield from make_a_character()
    yield from choose_a_voice()
    yield from predict()
    yield from edit_on_top()
    yield from mark_an_emotion()
    yield from bake()
    yield from export()
    result["clicks"] = clicks


# --- hands and eyes --------------------------------------------------------------------------------------------------


def press(words: str) -> Iterator[float]:
    """Click a button of the sidebar, wherever it has to be scrolled to."""
    yield from scrolled_to(words)
    yield from buttons.press(words)
    clicks.append(words)


def scrolled_to(words: str) -> Iterator[float]:
    """Turn the wheel until a button is in sight: down to the end, or else from the top on."""
    for closely, way in product((False, True), ("", *["down"] * 6, *["up"] * 6)):
        if way:
            yield from turn_wheel(way)
        try:
            return (yield from buttons.find(words, closely))
        except LookupError:
            continue
    raise LookupError(f"no button for {words}")


def turn_wheel(way: str, by: int = 16) -> Iterator[float]:
    buttons.scroll(way, by)
    yield 0.4


def top() -> Iterator[float]:
    yield from turn_wheel("up", 60)


def photograph(name: str, box: tuple[int, int, int, int]) -> None:
    """A part of the screen, from the left top to the right bottom."""
    left, top, right, bottom = box
    crop = f"{right - left}x{bottom - top}+{left}+{top}"
    command = ["import", "-window", "root", "-crop", crop, "+repage", str(OUT / f"{name}.png")]
    subprocess.run(command, check=True)


def workplace(name: str) -> None:
    """A picture of the 3D view and the Timeline below it."""
    view, line, high = area("VIEW_3D"), area("DOPESHEET_EDITOR"), window.window().height
    photograph(name, (view.x, high - view.y - view.height, view.x + view.width, high - line.y))


def browse(path: Path) -> Iterator[float]:
    """Choose a file in the file browser that has opened."""
    yield from hands.until(lambda: any(a.type == "FILE_BROWSER" for a in window.window().screen.areas))
    browser = area("FILE_BROWSER")
    yield 1.0
    result.setdefault("browsers", []).append(browser.spaces.active.params.display_type)
    browser.spaces.active.params.directory = str(path.parent).encode()
    browser.spaces.active.params.filename = path.name
    yield 1.0
    clicks.extend(("its folder", "the file", "OK"))
    with bpy.context.temp_override(window=window.window(), area=browser, region=region(browser)):
        bpy.ops.file.execute()
    yield 0.5


# --- the steps -------------------------------------------------------------------------------------------------------


def install_from_disk() -> Iterator[float]:
    """Where Blender's preferences have it; then it is done by script."""
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"
    bpy.context.preferences.view.show_tooltips = False
    bpy.context.preferences.system.use_region_overlap = False  # the sidebar beside the face; it draws alone
    bpy.context.preferences.extensions.use_online_access_handled = True
    view = area("VIEW_3D")
    view.ui_type = "PREFERENCES"
    bpy.context.preferences.active_section = "EXTENSIONS"
    yield 2.0
    main = region(view)
    yield from hands.click(hands.at(main, main.width - 24, 22))
    yield 1.5
    photograph("install", (20, 28, 1220, MENU))
    hands.press("Escape")
    yield 0.5
    view.ui_type = "VIEW_3D"
    yield 1.0
    window.install()
    clicks.extend(
        ("Edit", "Preferences", "Get Extensions", "arrow", "Install from Disk", "folder", "zip", "OK")
    )
    yield 1.0


def open_the_tab() -> Iterator[float]:
    """The cube goes, the sidebar comes."""
    view = region(area("VIEW_3D"))
    hands.move(hands.at(view, view.width // 3, view.height * 2 // 3))
    yield 0.3
    hands.press("Delete")
    yield 0.5
    result["objects"] = sorted(ob.name for ob in bpy.data.objects)
    hands.press("n")
    yield 1.0
    yield from window.open_tab("EDTalk")
    clicks.extend(("Delete", "N", "EDTalk"))


def make_a_character() -> Iterator[float]:
    yield from press("edtalk.new_character")
    yield from browse(SRC / "portrait.png")
    yield from hands.until(lambda: addon("ui.runtime.runtime").session().task is not None)
    yield from finished()
    yield 0.5
    yield from hands.until(face_is_seen, SLOW)
    result["face is seen"] = face_is_seen()
    result["view"] = area("VIEW_3D").spaces.active.shading.type
    yield from buttons.find("edtalk.choose_voice")
    yield 0.5
    workplace("character")


def face_is_seen() -> bool:
    """Is the middle of the view of some colour, and not a view's grey?"""
    view = region(area("VIEW_3D"))
    x, y = hands.at(view, view.width // 2, view.height // 2 - 60)
    red, green, blue = window.pixels(x - 20, y, 40, 40).reshape(-1, 3).mean(axis=0)
    return bool(max(red, green, blue) - min(red, green, blue) > 20)


def choose_a_voice() -> Iterator[float]:
    yield from press("edtalk.choose_voice")
    yield from browse(SRC / "voice.flac")
    result["range"] = [bpy.context.scene.frame_start, bpy.context.scene.frame_end]
    BLEND.parent.mkdir(exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(BLEND))
    clicks.extend(("Ctrl S", "name", "Save"))
    yield 1.0


def predict() -> Iterator[float]:
    yield from press("edtalk.predict")
    yield from finished()
    result["curves"] = len(addon("scene.keys.actions").curves(character()))
    yield from at_frame(window.widest_mouth())
    yield from buttons.find("edtalk.predict")
    yield 0.5
    workplace("predicted")


def at_frame(frame: int) -> Iterator[float]:
    bpy.context.scene.frame_set(frame)
    yield from settled()
    yield 1.5


def below(lines: int, from_right: int) -> Iterator[float]:
    """A place so far below the button Prediction, and from the sidebar's right edge; the sidebar is scrolled to
    where that comes into sight from below. (Blender tells what is under the mouse for buttons alone, and not for
    titles, menus and what is in titles.)"""
    yield from turn_wheel("down", 60)
    for _ in range(20):
        try:
            _x, y = yield from buttons.find("edtalk.edit_performance", closely=False)
            break
        except LookupError:
            yield from turn_wheel("up", 4)
    else:
        raise LookupError("no button Prediction")
    side = region(area("VIEW_3D"), "UI")
    return side.x + side.width - from_right, y + lines


def click_below(lines: int, from_right: int, what: str) -> Iterator[float]:
    place = yield from below(lines, from_right)
    yield from hands.click(place)
    clicks.append(what)
    yield 0.8


def edit_on_top() -> Iterator[float]:
    """Two sliders, and a key for them."""
    yield from at_frame(EDITED)
    yield from click_below(EXPRESSION, TITLE, "Expression")
    for row in (0, 2):  # Smile, Brow Raise
        x, y = yield from below(EXPRESSION + SLIDER + row * ROW, MIDDLE)
        yield from hands.drag((x - 40, y), (x + 45, y), steps=12)
        clicks.append("drag a slider")
    yield from click_below(EXPRESSION, KEY, "its key")
    yield from settled()
    yield 1.0
    workplace("edit")
    own = addon("scene.keys.actions").assigned_sheet(character())
    keys = own.find("edtalk.expression_03").keyframe_points
    result["keys on top"] = [round(key.co[0]) for key in keys]
    yield from drag_the_chin()
    yield from mirror()


def mirror() -> Iterator[float]:
    """The button flips this frame's face, and one step back flips it again. (It is no click of the tutorial's.)"""
    module, ob = addon("scene.character"), character()
    yaw = module.channels_of(ob)[module.layout_of(ob).index("yaw")]
    seen = [getattr(ob.edtalk, yaw)]
    yield from scrolled_to("edtalk.mirror_weights")
    yield from buttons.press("edtalk.mirror_weights")
    yield from settled()
    seen.append(getattr(character().edtalk, yaw))
    yield from window.undo()
    yield from settled()
    result["mirrored yaw"] = [*seen, getattr(character().edtalk, yaw)]


def drag_the_chin() -> Iterator[float]:
    """The handle on the face opens the jaw under the mouse; one step back closes it, and I over it keys it."""
    start = handle("jaw")
    end = start[0], start[1] + 12
    hands.move((start[0] - 3, start[1]))  # it lights up when the mouse comes to it
    yield 0.6
    hands.move(start)
    yield 1.5
    before = character().edtalk.mouth_01
    yield from hands.drag(start, end, steps=8)
    yield from settled()
    result["dragged"] = [before, character().edtalk.mouth_01]
    result["handle"] = [*end, *handle("jaw")]
    yield from window.undo()
    result["dragged back"] = character().edtalk.mouth_01
    yield from settled()
    hands.move((start[0] - 2, start[1]))
    yield 1.0
    hands.press("i")
    yield 1.0
    own = addon("scene.keys.actions").assigned_sheet(character())
    result["keyed by the handle"] = own.find("edtalk.mouth_01") is not None
    yield from window.undo()


def handle(name: str) -> hands.Place:
    """Where a handle of the face is, as the mouse counts."""
    places, view = addon("ui.face.handle_places"), area("VIEW_3D")
    camera = places.Camera(region(view), view.spaces.active.region_3d, character())
    x, y = places.Picture.of(camera).places()[name]
    return hands.at(region(view), round(x), round(region(view).height - y))


def mark_an_emotion() -> Iterator[float]:
    yield from click_below(EXPRESSION, TITLE, "Expression")
    yield from click_below(EXPRESSION + 3 * HEADER, TITLE, "Emotion")
    yield from at_frame(FELT)
    x, y = yield from scrolled_to("edtalk.emotions_from_markers")
    yield from hands.click((x, y - ROW))  # the menu above it
    clicks.append("Mark Emotion")
    yield 0.8
    workplace("emotion")
    hands.press("h")
    clicks.append("Happy")
    yield 1.0
    result["markers"] = [[marker.name, marker.frame] for marker in bpy.context.scene.timeline_markers]
    yield from at_frame(TAKEN_AT["happy"])
    result["happy"] = round(character().edtalk.emotion.happy, 3)
    workplace("happy")


def bake() -> Iterator[float]:
    yield from top()
    yield from press("edtalk.bake()")
    yield from finished()
    yield from at_frame(TAKEN_AT["baked"])
    yield from scrolled_to("edtalk.export_movie")
    yield from hands.until(lambda: bool(addon("ui.bake.watch").WATCH.map.is_settled))
    yield 1.0
    workplace("baked")
    result["baked"] = len(list(BLEND.parent.rglob("take_001/*.png")))


def export() -> Iterator[float]:
    """As far as the file browser: the server that stands outside does not see the files in here."""
    yield from press("edtalk.export_movie")
    yield from hands.until(lambda: any(a.type == "FILE_BROWSER" for a in window.window().screen.areas))
    yield 1.0
    result["movie"] = area("FILE_BROWSER").spaces.active.params.filename
    hands.press("Escape")
    yield 1.0


if __name__ == "__main__":
    window.begin(story())
