"""Runs inside a Blender with a window (see test_faults_window.py): what artists do while something runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterator
from typing import Any

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
import hands
from drive_window import FRAMES, OUT, SRC, addon, area, character, finished, inside, photograph, result

SHOT = str(OUT / "shot.blend")


def session() -> Any:
    return addon("ui.runtime.runtime").session()


def baked() -> int:
    """How many frames are finished."""
    take = addon("core.takes").Take.open(OUT / "edtalk" / "portrait" / "take_001")
    return len(addon("core.tasks").run_to_end(take.finished()))


def story() -> Generator[float, None, None]:
    yield from prepare()
    yield from undo_while_predicting()
    yield from escape()
    yield from press_the_cross()
    yield from switch_scene()
    yield from load_file()
    yield from revert()
    yield from delete_character()
    begin_to_bake()
    yield 0.3
    result["quits while baking"] = session().task is not None


def prepare() -> Iterator[float]:
    """A character with a voice; the .blend is saved with it."""
    window.install()
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, FRAMES
    area("VIEW_3D").spaces.active.show_region_ui = True
    yield 1.0
    yield from window.open_tab("EDTalk")
    bpy.ops.wm.save_as_mainfile(filepath=SHOT)
    with inside("VIEW_3D"):
        bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=str(SRC / "portrait.png"))
    yield from finished()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.choose_voice(filepath=str(next(SRC.glob("voice.*"))))


def undo_while_predicting() -> Iterator[float]:
    """What is undone is the step before; the performance is written all the same, as a step of its own."""
    for x in (0.1, 0.2):
        character().location.x = x
        bpy.ops.ed.undo_push(message=f"moved to {x}")
    with inside("VIEW_3D"):
        bpy.ops.edtalk.predict("INVOKE_DEFAULT")
    yield 0.03
    result["predicts"] = session().task is not None
    yield from window.undo()
    yield from finished()
    ob, curves = character(), addon("scene.keys.actions").curves
    result["predicted after an undo"] = [round(ob.location.x, 3), len(curves(ob))]
    yield from window.undo()
    result["the prediction undone"] = [round(character().location.x, 3), len(curves(character()))]
    yield from window.redo()
    result["and redone"] = len(curves(character()))
    bpy.ops.wm.save_mainfile()


def begin_to_bake() -> None:
    """Every frame is stale."""
    curve = addon("scene.keys.actions").find(character(), "edtalk.mouth_02")
    for key in curve.keyframe_points:
        key.co[1] += 0.1
    curve.update()
    bpy.ops.ed.undo_push(message="every key is moved")
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")


def some_frames() -> Iterator[float]:
    """Wait until the bake has rendered a few. (Stages before that count other things.)"""

    def has_some() -> bool:
        progress = session().task.progress
        return progress.stage == "Rendering" and progress.done >= 5

    yield from hands.until(lambda: session().task is None or has_some())
    assert session().task is not None, "it was meant to come in between"


def over_the_view() -> hands.Place:
    """Where keys go to the 3D view."""
    view = window.region(area("VIEW_3D"))
    return hands.at(view, view.width // 3, view.height // 2)


def escape() -> Iterator[float]:
    """How long the window takes to end a bake after the key."""
    hands.move(over_the_view())
    begin_to_bake()
    yield from some_frames()
    pressed: list[float] = []
    task = session().task
    ask, task.cancel = task.cancel, lambda: (pressed.append(time.monotonic()), ask())
    hands.press("Escape")
    begun = time.monotonic()
    while session().task is not None and time.monotonic() - begun < 30:
        yield 0.005
    result["the key needs [ms]"] = round((pressed[0] - begun) * 1000)
    result["cancelled after the key came [ms]"] = round((time.monotonic() - pressed[0]) * 1000)
    result["kept after Escape"] = baked()
    yield 0.5
    photograph("escaped.png")


def press_the_cross() -> Iterator[float]:
    """The same with the button in the panel, while no frame comes at all."""
    with window.no_frame_comes():
        begin_to_bake()
        yield from window.rendering()
        yield from hands.Buttons().press("edtalk.cancel")
        yield from hands.until(lambda: session().task is None)
        result["cancelled by the cross"] = session().task is None
    hands.move(over_the_view())
    yield 0.5


def switch_scene() -> Iterator[float]:
    """The bake goes on in the scene in which it began."""
    here, other = window.window().scene, bpy.data.scenes.new("Other")
    other.frame_end = 3
    begin_to_bake()
    yield from some_frames()
    window.window().scene = other
    photograph("other_scene.png")
    yield from finished()
    ob = character()
    result["baked from another scene"] = [ob.edtalk.show, ob.edtalk.take_last, baked()]
    yield 0.5
    window.window().scene = here
    yield 0.5


def load_file() -> Iterator[float]:
    """What is finished is kept, and a new bake goes on from there."""
    bpy.ops.wm.save_mainfile()
    begin_to_bake()
    bpy.ops.wm.save_mainfile()
    yield from some_frames()
    bpy.ops.wm.open_mainfile(filepath=SHOT)
    yield 1.0
    photograph("loaded.png")
    result["after loading"] = [session().task is None, session().trouble, baked()]
    yield from bake_the_rest("after loading and baking")


def revert() -> Iterator[float]:
    """The same with File > Revert."""
    begin_to_bake()
    yield from some_frames()
    bpy.ops.wm.revert_mainfile()
    yield 1.0
    result["after reverting"] = [session().task is None, session().trouble]
    yield from bake_the_rest("after reverting and baking")


def bake_the_rest(name: str) -> Iterator[float]:
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")
    yield from finished()
    result[name] = [character().edtalk.show, character().edtalk.take_last]


def delete_character() -> Iterator[float]:
    """With the key, over the view; an undo brings it back, and baking goes on."""
    begin_to_bake()
    yield from some_frames()
    hands.press("Delete")
    yield from hands.until(lambda: session().task is None)
    yield 0.5
    photograph("deleted.png")
    result["after deleting"] = [len(bpy.context.scene.objects), session().trouble]
    yield from window.undo()
    result["brought back"] = len(bpy.context.scene.objects)
    yield from bake_the_rest("after deleting, undo and baking")


if __name__ == "__main__":
    window.begin(story())
