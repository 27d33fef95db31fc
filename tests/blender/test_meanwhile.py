"""What artists do while something runs, at each of its stages: it is carried through, or ends with a word, or with the
file that it belonged to."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

LAST = 12


def jobs(addon: Any, movie: Path) -> dict[str, Callable[[Any], Any]]:
    """How each of the long tasks begins, as its operator does it; each gets the progress."""
    ob, scene, frames = bpy.context.object, bpy.context.scene, range(1, LAST + 1)
    ref, base = (
        addon("scene.references").CharacterRef.of(ob, scene),
        addon("scene.takes.take_places").default_base(),
    )
    request = addon("ui.bake.bake").BakeRequest(ref, frames, base, again=True)
    banks = list(importlib.import_module("shared_protocol.banks").Bank)
    predict = addon("ui.performance.predict_operator").Predict
    asked = {
        "predict": (
            "ui.performance.predict_operator",
            "Predict",
            {
                "frames": lambda _scene: frames,
                "banks": {bank.name for bank in banks},
                "emotion": "",
                "_request": lambda *given: predict._request(None, *given),
            },
        ),
        "bake": ("ui.bake.bake_operators", "Bake", {"request": lambda *_: request, "unsaved_hint": str}),
        "capture": (
            "ui.performance.capture_operator",
            "Capture",
            {
                "filepath": str(movie),
                "frames": lambda _scene: frames,
                "_banks": lambda: banks,
                "_start": lambda _scene: 1.0,
                "zero": "NEAREST",
                "follow": False,
                "absolute": False,
                **dict.fromkeys(("strength_mouth", "strength_pose", "strength_expression"), 1.0),
            },
        ),
        "pose assets": ("ui.poses.asset_operators", "MakePoseAssets", {}),
        "movie": ("ui.bake.movie_operator", "ExportMovie", {"filepath": "//face.mp4"}),
    }

    def begin(module: str, name: str, options: dict[str, Any]) -> Callable[[Any], Any]:
        kind = getattr(addon(module), name)
        return lambda progress: kind.steps(SimpleNamespace(**options), bpy.context, progress)

    return {job: begin(*how) for job, how in asked.items()}


@pytest.fixture
def shot(addon: Any, talking: bpy.types.Object) -> Callable[[], None]:
    """Opens the file with a baked character anew, with two steps that can be undone."""
    bpy.ops.edtalk.bake()
    bpy.ops.wm.save_mainfile()

    def opened() -> None:
        bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
        bpy.context.view_layer.objects.active = bpy.data.objects["face"]
        for x in (1.0, 2.0):
            bpy.data.objects["face"].location.x = x
            bpy.ops.ed.undo_push(message="moved")

    return opened


def undo_and_redo() -> None:
    bpy.ops.ed.undo()
    bpy.ops.ed.redo()


def another_scene() -> None:
    bpy.context.window_manager.windows[0].scene = bpy.data.scenes.new("Other")


def another_file() -> None:
    bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)


def delete_the_character() -> None:
    bpy.data.objects.remove(bpy.data.objects["face"])


def advance(addon: Any, task: Any) -> bool:
    """What the timer does once; True at the end."""
    addon.session.pump()
    time.sleep(0.0005)
    return bool(task.advance())


def stages(addon: Any, begin: Callable[[], Any]) -> Iterator[Any]:
    """The task, begun anew and just arrived at its first stage, at its second, and so on."""
    tasks = addon("core.tasks")
    for wanted in range(20):
        progress, seen = tasks.Progress(), set[str]()
        task = addon.session.task = tasks.Task("Task", begin()(progress), progress)
        while len(seen) <= wanted:
            if advance(addon, task):
                addon.session.task = None
                assert wanted >= 1, "it has stages"
                return
            seen.add(progress.stage)
        yield task


def outcome(addon: Any, task: Any) -> str:
    """How it goes on: done, dropped, or the cause of its end."""
    try:
        while addon.session.task is task:
            if advance(addon, task):
                addon.session.task = None
                return "done"
    except importlib.import_module("shared_protocol.errors").EDTalkError as error:
        addon.session.task = None
        return str(error.cause)
    return "dropped"


ENDS = {
    undo_and_redo: {"done", "An undo changed the file while keys were written."},
    another_scene: {"done"},
    another_file: {"dropped"},
    delete_the_character: {"The character was removed."},
}


@pytest.mark.parametrize("job", ["predict", "bake", "capture", "pose assets", "movie"])
@pytest.mark.parametrize("event", ENDS)
def test_at_each_stage(
    addon: Any, shot: Callable[[], None], movie: Path, job: str, event: Callable[[], None]
) -> None:
    path = bpy.data.filepath

    def begin() -> Callable[[Any], Any]:
        bpy.ops.wm.open_mainfile(filepath=path)
        shot()
        return jobs(addon, movie)[job]

    for task in stages(addon, begin):
        where = task.progress.stage
        event()
        how = outcome(addon, task)
        needs_nobody = job == "movie" and event is delete_the_character  # frames and voice are read by then
        assert how in ENDS[event] or (needs_nobody and how == "done"), where
    assert bpy.ops.edtalk.bake(first=1, last=2) == {"FINISHED"}, "and everything still works"
