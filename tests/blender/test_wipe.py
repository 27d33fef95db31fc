"""Two versions of a character on one plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import pytest


@pytest.fixture
def baked(addon: Any, talking: bpy.types.Object) -> Path:
    """The folder of a take of frames 3 to 6, which the list of takes knows."""
    bpy.ops.edtalk.bake(first=3, last=6)
    library = addon("ui.bake.take_library")
    library.LIBRARY.refresh()
    while library.LIBRARY.is_hurried:
        library.LIBRARY.tick()
    return addon("scene.paths").file_of(talking, "take")


def test_the_other_version_is_the_nearest_frame_of_the_take(addon: Any, baked: Path) -> None:
    wipe = addon("ui.bake.wipe")
    files = [wipe.frame_file(baked, frame) for frame in (1, 4, 99)]
    assert [file.name for file, _ in files] == ["0003.png", "0004.png", "0006.png"]
    assert wipe.frame_file(baked.parent / "take_999", 4) is None
    files[1][0].unlink()
    assert wipe.frame_file(baked, 4) is None, "a missing file is no picture"


def test_comparing_changes_nothing_in_the_file(addon: Any, talking: bpy.types.Object, baked: Path) -> None:
    module, manager = addon("ui.bake.wipe"), bpy.context.window_manager
    addon("ui.bake.takes_panel")._fill(manager.edtalk_takes, talking)
    node = addon("scene.plane").texture_node(talking)
    before = node.image
    manager.edtalk_wipe.take, manager.edtalk_wipe.is_on = str(baked), True
    bpy.context.scene.frame_set(5)
    module.WIPE.tick()
    image = module.WIPE.image
    assert Path(bpy.path.abspath(image.filepath)).name == "0005.png"
    assert (image.users, node.image) == (0, before), "it is not saved, and the plane shows what it showed"
    bpy.context.scene.frame_set(6)
    module.WIPE.tick()
    assert Path(bpy.path.abspath(module.WIPE.image.filepath)).name == "0006.png"
    manager.edtalk_wipe.is_on = False
    module.WIPE.tick()
    assert module.WIPE.image is None and not [one for one in bpy.data.images if one.name.startswith("EDTalk")]


def test_the_picture_comes_back_after_an_undo_and_with_new_frames(
    addon: Any, talking: bpy.types.Object, baked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, manager = addon("ui.bake.wipe"), bpy.context.window_manager
    addon("ui.bake.takes_panel")._fill(manager.edtalk_takes, talking)
    drawn: list[object] = []
    monkeypatch.setattr(module, "redraw_areas", drawn.append)
    manager.edtalk_wipe.take, manager.edtalk_wipe.is_on = str(baked), True
    drawn.clear()
    bpy.context.scene.frame_set(5)
    module.WIPE.tick()
    module.WIPE.tick()
    assert len(drawn) == 1, "a view is drawn again for another picture alone"
    bpy.data.images.remove(module.WIPE.image)  # as an undo does
    module.WIPE.tick()
    assert module.WIPE.image is not None
    take = next(entry.take for entry in addon("ui.bake.take_library").LIBRARY.entries)
    monkeypatch.setitem(take.hashes, 5, "baked anew")
    module.WIPE.tick()
    assert len(drawn) == 3
    (baked / "0005.png").unlink()
    module.WIPE.tick()
    module.WIPE.tick()
    assert module.WIPE.image is None and len(drawn) == 4
    manager.edtalk_wipe.is_on = False
    module.WIPE.tick()
    assert not [one for one in bpy.data.images if one.name.startswith("EDTalk compare")], (
        "none is left behind"
    )


def test_the_chosen_take_stays_chosen_when_another_one_is_deleted(
    addon: Any, talking: bpy.types.Object, baked: Path
) -> None:
    manager = bpy.context.window_manager
    rows, wipe = manager.edtalk_takes.rows, manager.edtalk_wipe
    rows.clear()
    for name in ("a", "b", "c"):
        rows.add().folder = name
    wipe.take = "b"
    rows.remove(0)
    assert wipe.take == "b"
    rows.remove(0)
    assert wipe.take == "c"
    rows.clear()
    assert wipe.take == "NONE"
