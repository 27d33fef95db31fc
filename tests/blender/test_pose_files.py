"""An artist's own poses in a file, and from there in another shot."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest


@pytest.fixture
def kept(addon: Any, resting: bpy.types.Object) -> bpy.types.Object:
    """A character of whom one pose was kept, beside an asset that is none of ours."""
    bpy.data.actions.new("Walk").asset_mark()
    resting.edtalk.mouth_01, resting.edtalk.pose_02 = 0.75, -0.5
    bpy.ops.edtalk.keep_pose(name="Smirk")
    return resting


def own(addon: Any) -> dict[str, dict[str, float]]:
    return addon("scene.poses.pose_assets").own_poses()


def test_own_poses_go_to_a_file_and_come_back_once(
    addon: Any, kept: bpy.types.Object, tmp_path: Path
) -> None:
    bpy.ops.edtalk.make_pose_assets()
    before = own(addon)
    assert set(before) == {"Smirk"}, "the bundle's are not the artist's"
    bpy.ops.edtalk.export_poses(filepath=str(tmp_path / "mine"))
    path = tmp_path / "mine.json"
    assert json.loads(path.read_text("utf-8"))["poses"] == before
    bpy.data.actions.remove(bpy.data.actions["Smirk"])
    for _ in range(2):
        bpy.ops.edtalk.import_poses(filepath=str(path))
        assert own(addon) == before
    picture = bpy.data.actions["Smirk"].preview.image_pixels_float
    assert np.array(picture[:]).max() > 0.1, "it has a picture"
    bpy.ops.edtalk.reset_weights()
    bpy.ops.edtalk.apply_pose(action="Smirk")
    assert (kept.edtalk.mouth_01, kept.edtalk.pose_02) == (0.75, -0.5)


def test_without_a_path_they_go_beside_the_file(addon: Any, kept: bpy.types.Object) -> None:
    bpy.ops.edtalk.export_poses()
    assert (Path(bpy.data.filepath).parent / "poses.json").is_file()


def test_another_pose_of_the_same_name_is_kept_beside_it(
    addon: Any, kept: bpy.types.Object, tmp_path: Path
) -> None:
    (tmp_path / "theirs.json").write_text(
        '{"edtalk_poses": 1, "poses": {"Smirk": {"mouth_02": 1}, "Alien": {"tail_01": 1}, '
        '"Half": {"mouth_03": 0.5, "tail_01": 2}}}',
        "utf-8",
    )
    mine = own(addon)["Smirk"]
    for _ in range(2):
        bpy.ops.edtalk.import_poses(filepath=str(tmp_path / "theirs.json"))
        assert own(addon) == {
            "Smirk": mine,
            "Smirk.001": {"mouth_02": 1.0},
            "Half": {"mouth_03": 0.5, "tail_01": 2.0},
        }, "what the bundle does not know stays in the pose for one that does"
    bpy.ops.edtalk.apply_pose(action="Half")
    assert kept.edtalk.mouth_03 == 0.5


def test_a_file_of_another_bundle_adds_nothing(addon: Any, kept: bpy.types.Object, tmp_path: Path) -> None:
    (tmp_path / "alien.json").write_text('{"edtalk_poses": 1, "poses": {"A": {"tail_01": 1}}}', "utf-8")
    with pytest.raises(RuntimeError, match="no pose with a weight that this character has"):
        bpy.ops.edtalk.import_poses(filepath=str(tmp_path / "alien.json"))
    assert set(own(addon)) == {"Smirk"}


def test_without_an_own_pose_the_button_says_so(addon: Any, resting: bpy.types.Object) -> None:
    with pytest.raises(RuntimeError, match="Save a pose first"):
        bpy.ops.edtalk.export_poses(filepath="//poses.json")


def test_a_place_that_cannot_be_written_is_told(addon: Any, kept: bpy.types.Object, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"no\.json cannot be written"):
        bpy.ops.edtalk.export_poses(filepath=str(tmp_path / "none" / "no.json"))


@pytest.mark.parametrize("name", ["N" * 300, "ä" * 100, "Smirk.001", "Smirk.1", "", "  ", "a\0b"])
def test_whatever_blender_makes_of_a_name_a_pose_comes_once(
    addon: Any, kept: bpy.types.Object, tmp_path: Path, name: str
) -> None:
    for taken in ("Smirk.001", "Smirk.1"):
        bpy.data.actions.new(taken)
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({"edtalk_poses": 1, "poses": {name: {"mouth_01": 1 / 3}}}), "utf-8")
    for _ in range(2):
        bpy.ops.edtalk.import_poses(filepath=str(path))
        assert len(own(addon)) == 2
    bpy.ops.edtalk.export_poses(filepath=str(path))
    bpy.ops.edtalk.import_poses(filepath=str(path))
    assert len(own(addon)) == 2


def test_a_folder_is_where_the_file_goes(addon: Any, kept: bpy.types.Object, tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    bpy.ops.edtalk.export_poses(filepath=str(tmp_path / "shots") + "/")
    assert (tmp_path / "shots" / "poses.json").is_file() and not (tmp_path / "shots.json").exists()
    assert addon("ui.runtime.new_file").place("/", "poses.json") == Path("/poses.json").absolute()


@pytest.mark.parametrize(
    ("module", "kind", "typed", "becomes"),
    [
        ("ui.poses.file_operators", "ExportPoses", "/there/mine", "/there/mine.json"),
        ("ui.poses.file_operators", "ExportPoses", "/there/mine v1.2", "/there/mine v1.2.json"),
        ("ui.poses.file_operators", "ExportPoses", "/there/mine.JSON", "/there/mine.JSON"),
        ("ui.poses.file_operators", "ExportPoses", "/there/", "/there/"),
        ("ui.bake.movie_operator", "ExportMovie", "/there/face", "/there/face.mp4"),
        ("ui.bake.movie_operator", "ExportMovie", "/there/face.mov", "/there/face.mov"),
    ],
)
def test_the_file_browser_asks_about_the_file_that_would_be_overwritten(
    addon: Any, module: str, kind: str, typed: str, becomes: str
) -> None:
    """It looks for the name that `check` leaves."""
    operator = getattr(addon(module), kind)
    dialog = SimpleNamespace(filepath=typed, suffixes=operator.suffixes)
    assert operator.check(dialog, bpy.context) == (typed != becomes)
    assert dialog.filepath == becomes


def test_a_damaged_pose_is_named(addon: Any, kept: bpy.types.Object, tmp_path: Path) -> None:
    bpy.data.actions["Smirk"]["edtalk_pose"] = "damaged"
    with pytest.raises(RuntimeError, match="Smirk is no pose of EDTalk"):
        bpy.ops.edtalk.export_poses(filepath=str(tmp_path / "mine.json"))
