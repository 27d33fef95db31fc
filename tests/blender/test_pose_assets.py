"""Poses of a bundle in the Asset Browser, and one of them on a character."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

pytestmark = pytest.mark.versions


@pytest.fixture
def library(addon: Any, resting: bpy.types.Object) -> bpy.types.Object:
    """A character whose poses were made; its bundle has numbered weights and one expression."""
    session = addon.session
    happy = {"happy": {"expression_01": 3.0, "expression_02": -1.0}}
    session.bundle = dataclasses.replace(session.bundle, presets=happy)
    bpy.ops.edtalk.make_pose_assets()
    return resting


def poses() -> dict[str, bpy.types.Action]:
    return {action.name: action for action in bpy.data.actions if action.asset_data is not None}


def test_each_weight_and_expression_becomes_an_asset_with_a_picture(
    addon: Any, library: bpy.types.Object
) -> None:
    found = poses()
    assert len(found) == 1 + 2 * 36, "numbered weights go both ways"
    assert {"Happy", "Mouth 1", "Mouth 1 -"} <= set(found)
    catalogs = (Path(bpy.data.filepath).parent / "blender_assets.cats.txt").read_text("utf-8")
    for action in found.values():
        assert f"{action.asset_data.catalog_id}:EDTalk:EDTalk" in catalogs
        assert tuple(action.preview.image_size) == (64, 64), "the size of this server's pictures"
    pictures = {
        name: np.array(found[name].preview.image_pixels_float[:])
        for name in ("Mouth 1", "Mouth 1 -", "Happy")
    }
    assert np.abs(pictures["Mouth 1"] - pictures["Mouth 1 -"]).max() > 0.1, "they show the pose"
    assert addon("scene.keys.actions").curves(library) == [], "the character itself is left alone"


def test_making_them_again_makes_no_doubles_and_keeps_the_artists(
    addon: Any, library: bpy.types.Object
) -> None:
    mine = bpy.data.actions.new("Walk")
    mine.asset_mark()
    names = set(poses())
    bpy.ops.edtalk.make_pose_assets()
    assert set(poses()) == names and bpy.data.actions["Walk"] == mine


def test_made_again_they_stay_where_an_artist_put_them(addon: Any, library: bpy.types.Object) -> None:
    empty = bpy.data.objects.new("Empty", None)
    empty.animation_data_create().action = bpy.data.actions["Happy"]
    bpy.data.actions["Happy"].asset_data.tags.new("favourite")
    catalog = bpy.data.actions["Happy"].asset_data.catalog_id = "12345678-1234-1234-1234-123456789abc"
    bpy.ops.edtalk.make_pose_assets()
    action = bpy.data.actions["Happy"]
    assert empty.animation_data.action == action
    assert action.asset_data.catalog_id == catalog
    assert {tag.name for tag in action.asset_data.tags} == {"favourite", "EDTalk"}


def test_an_expression_and_a_weight_may_have_one_name(addon: Any, resting: bpy.types.Object) -> None:
    session = addon.session
    twin = {"mouth 1": {"expression_01": 3.0}}
    session.bundle = dataclasses.replace(session.bundle, presets=twin)
    bpy.ops.edtalk.make_pose_assets()
    before = {name: action["edtalk_pose"] for name, action in poses().items()}
    assert len(before) == 1 + 2 * 36 and {"Mouth 1", "Mouth 1.001"} <= set(before)
    bpy.ops.edtalk.make_pose_assets()
    assert {name: action["edtalk_pose"] for name, action in poses().items()} == before


def test_a_linked_file_keeps_its_poses(addon: Any, library: bpy.types.Object, tmp_path: Path) -> None:
    bpy.ops.wm.save_mainfile()
    path = bpy.data.filepath
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "proj ect ä" / "other.blend"))
    for action in list(poses().values()):
        bpy.data.actions.remove(action)
    with bpy.data.libraries.load(path, link=True) as (_there, here):
        here.actions = ["Happy"]
    linked = here.actions[0].session_uid
    bpy.ops.edtalk.make_pose_assets()
    assert linked in [action.session_uid for action in bpy.data.actions if action.library is not None]


def test_a_list_of_catalogs_that_cannot_be_read_is_told(addon: Any, resting: bpy.types.Object) -> None:
    path = Path(bpy.data.filepath).parent / "blender_assets.cats.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RuntimeError, match="list of asset catalogs beside the file cannot be changed"):
        bpy.ops.edtalk.keep_pose(name="Smirk")
    assert not poses() and path.read_bytes() == b"\xff\xfe\x00"


def test_an_artists_own_pose_is_kept_beside_all_others(addon: Any, library: bpy.types.Object) -> None:
    library.edtalk.mouth_01, library.edtalk.pose_02 = 0.75, -0.5
    before = {action.name: action[addon("scene.poses.pose_assets").POSE] for action in poses().values()}
    for _ in range(2):
        bpy.ops.edtalk.keep_pose(name="Happy")
    bpy.ops.edtalk.make_pose_assets()
    after = {action.name: action[addon("scene.poses.pose_assets").POSE] for action in poses().values()}
    assert set(after) - set(before) == {"Happy.001", "Happy.002"}
    assert {name: after[name] for name in before} == before, "nothing took another's place"
    own = poses()["Happy.002"]
    assert (
        np.array(own.preview.image_pixels_float[:]).max() > 0.1
        and "edtalk" in own.asset_data.tags[0].name.lower()
    )
    bpy.ops.edtalk.reset_weights()
    bpy.ops.edtalk.apply_pose(action="Happy.002")
    assert (library.edtalk.mouth_01, library.edtalk.pose_02) == (0.75, -0.5)


def test_a_pose_is_applied_to_a_character(addon: Any, library: bpy.types.Object) -> None:
    bpy.ops.edtalk.apply_pose(action="Happy")
    assert (library.edtalk.expression_01, library.edtalk.expression_02) == (3.0, -1.0)
    before = library.edtalk.mouth_02
    bpy.ops.edtalk.apply_pose(action="Mouth 1 -")
    assert (library.edtalk.mouth_01, library.edtalk.mouth_02) == (-6.0, before)
    with pytest.raises(RuntimeError, match="no pose"):
        bpy.ops.edtalk.apply_pose(action="No such")
    with pytest.raises(RuntimeError, match="Wink is no pose of EDTalk"):
        bpy.ops.edtalk.apply_pose(relative_asset_identifier="gone.blend/Action/Wink")


def test_a_damaged_library_is_told(addon: Any, library: bpy.types.Object, tmp_path: Path) -> None:
    bpy.ops.wm.save_mainfile()
    whole = Path(bpy.data.filepath).read_bytes()
    for number, content in enumerate((b"no such thing", whole[: len(whole) // 2], b"")):
        path = tmp_path / f"{number}.blend"
        path.write_bytes(content)
        for _ in range(5):
            with pytest.raises(RuntimeError, match="Wink is no pose of EDTalk"):
                bpy.ops.edtalk.apply_pose(relative_asset_identifier=f"{path}/Action/Wink")


@pytest.mark.parametrize("name", ["Smirk", "Smirk/left", "Action/Smirk.blend/x"])
@pytest.mark.parametrize("file", ["", "more/lib.blend/"])
def test_the_shelf_applies_a_pose_of_any_name_and_place(
    addon: Any, resting: bpy.types.Object, tmp_path: Path, name: str, file: str
) -> None:
    """The shelf tells where the asset lies in its library."""
    resting.edtalk.mouth_01 = 0.75
    bpy.ops.edtalk.keep_pose(name=name)
    bpy.ops.edtalk.reset_weights()
    if file:
        (tmp_path / "more").mkdir()
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "more" / "lib.blend"), copy=True)
        bpy.data.actions.remove(bpy.data.actions[name])
    libraries = bpy.context.preferences.filepaths.asset_libraries
    library = libraries.new(name="Ours", directory=str(tmp_path))
    try:
        bpy.ops.edtalk.apply_pose(
            asset_library_identifier="Ours", relative_asset_identifier=f"{file}Action/{name}"
        )
    finally:
        libraries.remove(library)
    assert resting.edtalk.mouth_01 == 0.75


def test_a_pose_comes_from_another_file_without_leaving_anything(
    addon: Any, library: bpy.types.Object, tmp_path: Path
) -> None:
    bpy.ops.wm.save_mainfile()
    path = bpy.data.filepath
    bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)
    assert addon("scene.poses.pose_assets").pose_of_file(path, "Happy") == {
        "expression_01": 3.0,
        "expression_02": -1.0,
    }
    assert not bpy.data.actions and not bpy.data.libraries


def test_an_unsaved_file_has_no_place_for_catalogs(addon: Any, server: Any, unsaved: Any) -> None:
    unsaved()
    with pytest.raises(RuntimeError, match="Save the file first"):
        bpy.ops.edtalk.make_pose_assets()


def test_they_are_written_a_little_at_a_time_and_shown_together(
    addon: Any, resting: bpy.types.Object, tmp_path: Path
) -> None:
    module = addon("scene.poses.pose_assets")
    pose = addon("scene.poses.posing").read_pose(resting)
    picture = module.make_thumbnail(300, 200, bytes(300 * 200 * 4))
    assert picture.shape == (67, 100, 4), "no side is longer than 128"
    wanted = [(module.PoseAsset(name, "", pose, is_own=True), picture) for name in ("A", "B", "C")]
    for stop in (1, 50, 110):
        work = module.save_assets(resting, wanted, tmp_path)
        for _ in range(stop):
            next(work)
        assert bpy.data.actions and not poses(), "nothing is shown yet"
        work.close()
        assert not bpy.data.actions, "a cancel leaves nothing"
    assert sum(1 for _ in module.save_assets(resting, wanted, tmp_path)) == 3 * (len(pose) + 1)
    assert set(poses()) == {"A", "B", "C"}
