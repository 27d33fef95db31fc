"""Runs inside a Blender with a window (see test_crop_window.py): a picture is dropped onto the 3D view, and the crop of
the character that it becomes is adjusted over the view, with the mouse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterator
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, "/mnt/src")
import drive_window as window
import hands
from drive_window import OUT, SRC, addon, area, character, finished, photograph, region, result, settled

buttons = hands.Buttons()
asked: list[Any] = []
"""The crops that the server was asked about."""
told: list[str] = []
"""What it said, as the words below the picture."""


def story() -> Generator[float, None, None]:
    yield from prepare()
    yield from drop()
    yield from look()
    yield from drag()
    yield from leave()
    yield from use()
    yield from load_file()


def prepare() -> Iterator[float]:
    """A sidebar with the portrait's panel open, and a note of what goes to the server and comes back."""
    window.install("character.portrait_panel.PortraitPanel")
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    bpy.context.scene.view_settings.view_transform = "Standard"
    space = area("VIEW_3D").spaces.active
    space.show_region_ui = True
    space.shading.type, space.shading.light, space.shading.color_type = "SOLID", "FLAT", "TEXTURE"
    yield 1.0
    yield from window.open_tab("EDTalk")
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    adjust = addon("ui.character.crop_view").AdjustCrop
    ask, tell = adjust._ask, adjust._show_verdict

    def asks(self: Any) -> None:
        asked.append(self._crop)
        ask(self)

    def is_told(self: Any, verdict: str, advice: str) -> None:
        tell(self, verdict, advice)
        told.append(" ".join(self._lines))

    adjust._ask, adjust._show_verdict = asks, is_told


def drop() -> Iterator[float]:
    """From a file manager, as far as Blender can tell. It asks what to make of the picture."""
    view = region(area("VIEW_3D"))
    x, y = hands.at(view, view.width // 3, view.height // 2)
    hands.move((x, y))
    command = ["python3", str(SRC / "drop_file.py"), str(SRC / "face.png"), str(x), str(y)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dropping:
        yield from hands.until(lambda: dropping.poll() is not None)
        result["drop"] = dropping.communicate()[0].strip()
    yield 1.0
    photograph("dropped.png")
    hands.press("n")  # New Character, in the menu
    yield from hands.until(lambda: addon("ui.runtime.runtime").session().task is not None)
    yield from finished()
    result["objects after the drop"] = [(ob.type, ob.edtalk.is_character) for ob in bpy.data.objects]
    window.frame_the_plane()
    yield from settled()


def look() -> Iterator[float]:
    """What the portrait is worth, by the panel's buttons."""
    yield from buttons.press("edtalk.check_portrait")
    yield from finished()
    result["found"] = numbers(addon("scene.portrait_crop").seen(character()).crop)
    yield 0.5
    photograph("checked.png")


def numbers(crop: Any) -> list[float]:
    return [crop.center_x, crop.center_y, crop.side, crop.roll] if crop is not None else []


def begin() -> Iterator[float]:
    """Press Adjust Crop, and wait for the first words."""
    asked.clear()
    told.clear()
    yield from buttons.press("edtalk.adjust_crop")
    yield from hands.until(lambda: bool(told))
    yield 0.5


def shown_picture() -> bpy.types.Image:
    return next(image for image in bpy.data.images if image.get("edtalk") == "crop")


def on_screen(x: float, y: float) -> hands.Place:
    """A place of the picture as the mouse counts."""
    crop_view, view = addon("ui.character.crop_view"), region(area("VIEW_3D"))
    room = crop_view.free_room(area("VIEW_3D"), view)
    place = crop_view.Fit.into(room, tuple(shown_picture().size)).to_region((x, y))
    return hands.at(view, round(place[0]), view.height - round(place[1]))


def colours() -> Iterator[float]:
    """Parts of the picture, on the screen and in the file: mean red, green and blue, 0 to 255."""
    picture, pairs = shown_picture(), []
    width, height = picture.size
    pixels = np.array(picture.pixels[:]).reshape(height, width, 4)[::-1, :, :3] * 255
    for x, y in ((0.1, 0.8), (0.5, 0.9), (0.9, 0.9)):
        part = pixels[int(y * height) - 8 : int(y * height) + 8, int(x * width) - 8 : int(x * width) + 8]
        left_top, size = on_screen(x * width - 8, y * height - 8), on_screen(x * width + 8, y * height + 8)
        size = size[0] - left_top[0], size[1] - left_top[1]
        seen = window.pixels(*left_top, *size)
        pairs.append([part.mean((0, 1)).round(1).tolist(), seen.mean((0, 1)).round(1).tolist()])
    result["colours"] = pairs
    yield 0.1


def drag() -> Iterator[float]:
    """Inside, at the edge, outside, and the wheel; what the server was asked after each."""
    before = numbers(addon("scene.portrait_crop").crop_of(character()))
    for x in (0.1, 0.2):
        character().location.x = x
        bpy.ops.ed.undo_push(message=f"moved to {x}")
    with window.inside("VIEW_3D"):
        bpy.ops.edtalk.stop_server()
    yield from hands.until(lambda: not addon("ui.runtime.runtime").session().is_connected)
    yield from begin()
    result["judged by a server that was not running"] = bool(told)
    photograph("crop.png")
    yield from colours()
    crop, step = asked[-1], asked[-1].side / 8
    result["crops"] = {"first": numbers(crop)}
    middle = crop.center_x, crop.center_y
    yield from hands.drag(on_screen(*middle), on_screen(middle[0] + step, middle[1] - step))
    result["crops"]["moved"], result["step"] = numbers(asked[-1]), step
    crop = asked[-1]
    edge = crop.center_x + crop.side / 2
    yield from hands.drag(on_screen(edge, crop.center_y), on_screen(edge - step, crop.center_y))
    result["crops"]["scaled"] = numbers(asked[-1])
    for name, button in (("wheel up", 4), ("wheel down", 5)):
        yield from hands.click(on_screen(crop.center_x, crop.center_y), button)
        result["crops"][name] = numbers(asked[-1])
    away = crop.side * 0.6
    yield from hands.drag(
        on_screen(crop.center_x, crop.center_y - away),
        on_screen(crop.center_x + away / 2, crop.center_y - away),
    )
    result["crops"]["turned"] = numbers(asked[-1])
    photograph("turned.png")
    told.clear()
    crop = asked[-1]
    yield from hands.drag(
        on_screen(crop.center_x, crop.center_y), on_screen(crop.side * 0.2, crop.side * 0.2)
    )
    yield from hands.until(lambda: bool(told))
    yield 0.5
    result["words in the corner"] = told[-1:]
    photograph("corner.png")
    result["unchanged meanwhile"] = numbers(addon("scene.portrait_crop").crop_of(character())) == before


def remains() -> list[str]:
    """Traces of the adjusting."""
    return [image.name for image in bpy.data.images if image.get("edtalk") == "crop"]


def leave() -> Iterator[float]:
    """Escape leaves no step to be undone: one undo takes back what was done before it began."""
    result["shown meanwhile"] = remains()
    hands.press("Escape")
    yield 1.0
    photograph("escaped.png")
    result["after Escape"] = [numbers(addon("scene.portrait_crop").crop_of(character())), remains()]
    yield from window.undo()
    result["undone after Escape"] = character().location.x
    yield from window.redo()
    yield from settled()


def use() -> Iterator[float]:
    """Enter; then undo and redo with the keys."""
    ob = character()
    yield from settled()
    before = window.picture(ob)
    yield from begin()
    yield from hands.click(on_screen(asked[-1].center_x, asked[-1].center_y), 4)
    chosen = numbers(asked[-1])
    yield from hands.until(lambda: len(told) > 1)
    hands.press("Return")
    yield 1.0
    yield from settled()
    yield from hands.until(lambda: abs(window.picture(character()) - before).max() > 0.02)
    crop_of = addon("scene.portrait_crop").crop_of
    result["used"] = [numbers(crop_of(character())), chosen]
    result["picture changed by"] = float(abs(window.picture(character()) - before).max())
    photograph("used.png")
    yield from window.undo()
    result["after undo"] = [numbers(crop_of(character())), character().location.x]
    yield from window.redo()
    result["after redo"] = [numbers(crop_of(character())), chosen]
    yield from settled()


def load_file() -> Iterator[float]:
    """Another file is opened, by a script say, while the box is shown."""
    bpy.ops.wm.save_mainfile()
    side = character().edtalk.picture.side
    yield from begin()
    yield from hands.click(on_screen(asked[-1].center_x, asked[-1].center_y), 4)
    bpy.ops.wm.open_mainfile(filepath=str(OUT / "shot.blend"))
    yield 1.0
    result["after loading"] = [remains(), character().edtalk.picture.side == side]
    yield from begin()
    hands.press("Escape")
    yield 0.5


if __name__ == "__main__":
    window.begin(story())
