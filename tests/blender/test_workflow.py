"""From a portrait and a voice to frames: what an animator does, in the order it is done."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Vector

pytestmark = pytest.mark.versions

FIRST, LAST = 1, 12


def channels(addon: Any, ob: bpy.types.Object) -> list[str]:
    return addon("scene.character").channels_of(ob)


def frames_on_disk(ob: bpy.types.Object) -> dict[int, bytes]:
    folder = Path(bpy.path.abspath(ob.edtalk.take))
    return {int(path.stem): path.read_bytes() for path in folder.glob("*.png") if int(path.stem) >= FIRST}


def test_a_new_character_rests_at_the_portrait(addon: Any, server: Any, portrait: Path) -> None:
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    ob = bpy.context.object
    character = addon("scene.character")
    assert character.is_character(ob) and ob.name == "face"
    assert bpy.context.selected_objects == [ob]
    rest = character.rest_weights(ob)
    assert rest.any(), "this model's portraits have weights of their own"
    np.testing.assert_array_equal(character.read_weights(ob), rest)
    image = ob.edtalk.live_image
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    assert pixels.reshape(-1, 4)[:, :3].std() > 0.01, "its first picture is on the plane"


def test_predicting_writes_grouped_curves_over_the_scene_range(addon: Any, talking: bpy.types.Object) -> None:
    actions = addon("scene.keys.actions")
    curves = actions.curves(talking)
    assert len(curves) == 36
    groups = [curve.group.name for curve in curves]
    assert {name: groups.count(name) for name in groups} == {"Mouth": 20, "Pose": 6, "Expression": 10}
    for curve in curves:
        assert [key.co[0] for key in curve.keyframe_points] == list(range(FIRST, LAST + 1))
    strip = talking.animation_data.nla_tracks["EDTalk Performance"].strips[0]
    assert (strip.action.name, strip.frame_start, strip.frame_end) == ("EDTalk face", FIRST, LAST)
    assert actions.action_of(talking) is None, "the object's own action is free for the artist"
    mouth = actions.find(talking, "edtalk.mouth_01")
    assert np.ptp([key.co[1] for key in mouth.keyframe_points]) > 0.05, "the mouth follows the voice"
    pose, rest = actions.find(talking, "edtalk.pose_01"), addon("scene.character").rest_weights(talking)
    assert {key.co[1] for key in pose.keyframe_points} == {rest[20]}, "the head rests"


def test_baking_renders_the_range_and_shows_it(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake()
    assert sorted(frames_on_disk(talking)) == list(range(FIRST, LAST + 1))
    assert talking.edtalk.take == "//edtalk/face/take_001"
    node = addon("scene.plane").texture_node(talking)
    assert node.image == talking.edtalk.take_image
    assert node.image.source == "SEQUENCE" and node.image.filepath == "//edtalk/face/take_001/0001.png"


def test_after_one_key_only_the_frames_it_touches_are_rendered(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake()
    before = frames_on_disk(talking)
    written = {
        path.name: path.stat().st_mtime_ns
        for path in Path(bpy.path.abspath(talking.edtalk.take)).glob("*.png")
    }
    curve = addon("scene.keys.actions").find(talking, "edtalk.mouth_01")
    curve.keyframe_points[5].co[1] += 0.8
    curve.update()
    bpy.ops.edtalk.bake()
    after = frames_on_disk(talking)
    assert [frame for frame in before if after[frame] != before[frame]] == [6]
    rewritten = [
        path.name
        for path in Path(bpy.path.abspath(talking.edtalk.take)).glob("*.png")
        if path.stat().st_mtime_ns != written[path.name] and path.name != "0000.png"
    ]
    assert rewritten == ["0006.png"], "the others are not even rendered"


def test_baking_twice_renders_nothing_the_second_time(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.bake()
    assert renders == [LAST - FIRST + 1]


def test_an_nla_layer_counts(addon: Any, talking: bpy.types.Object, renders: list[int]) -> None:
    bpy.ops.edtalk.bake()
    before = frames_on_disk(talking)
    talking.animation_data.nla_tracks[0].strips[0].use_reverse = True
    bpy.ops.edtalk.bake()
    after = frames_on_disk(talking)
    assert all(after[frame] == before[FIRST + LAST - frame] for frame in before)


@pytest.mark.skipif(not bpy.app.build_options.audaspace, reason="this Blender has no sound")
def test_a_chosen_voice_is_heard_and_the_scene_ends_with_it(resting: bpy.types.Object, voice: Path) -> None:
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 5, 250, 24
    bpy.ops.edtalk.choose_voice(filepath=str(voice), add_strip=True, fit_range=True)
    assert (scene.frame_start, scene.frame_end) == (5, 16), "half a second"
    assert scene.sync_mode == "AUDIO_SYNC"
    assert resting.edtalk.voice_start == 5


@pytest.mark.parametrize(("transform", "shading"), [("Standard", "SOLID"), ("AgX", "MATERIAL")])
def test_looking_at_a_character_shows_its_picture_from_the_front(
    addon: Any, resting: bpy.types.Object, transform: str, shading: str
) -> None:
    scene, window = bpy.context.scene, bpy.context.window_manager.windows[0]
    scene.view_settings.view_transform = transform
    resting.rotation_euler = (0.0, 0.0, 1.0)
    bpy.context.view_layer.update()
    area = window.screen.areas[0]
    area.type = "VIEW_3D"
    view, remark = area.spaces.active, addon("ui.character.view_character").view_hint
    assert remark(view, scene) == "This view shows no pictures yet", "as in a new Blender"
    resting.select_set(False)
    with bpy.context.temp_override(window=window, area=area, region=area.regions[-1]):
        bpy.ops.edtalk.look_at_character()
    assert not resting.select_get(), "looking selects nothing"
    assert (view.shading.type, remark(view, scene)) == (shading, "")
    towards = view.region_3d.view_rotation @ Vector((0.0, 0.0, 1.0))
    front = resting.matrix_world.to_3x3() @ Vector((0.0, -1.0, 0.0))
    assert towards.dot(front) > 0.999


def test_solid_shading_with_pictures_is_told_of_where_it_shows_wrong_colours(
    addon: Any, resting: bpy.types.Object
) -> None:
    scene, area = bpy.context.scene, bpy.context.window_manager.windows[0].screen.areas[0]
    area.type = "VIEW_3D"
    area.spaces.active.shading.type, area.spaces.active.shading.color_type = "SOLID", "TEXTURE"
    words = {}
    for transform in ("Standard", "AgX"):
        scene.view_settings.view_transform = transform
        words[transform] = addon("ui.character.view_character").view_hint(area.spaces.active, scene)
    assert words == {"Standard": "", "AgX": "Solid shading shows wrong colours under AgX"}


def test_a_prediction_from_the_scenes_sound(addon: Any, resting: bpy.types.Object, voice: Path) -> None:
    pytest.importorskip("aud", reason="this Blender module has no sound")
    bpy.context.scene.frame_start = 3
    bpy.ops.edtalk.choose_voice(filepath=str(voice), add_strip=True)
    bpy.ops.edtalk.predict()
    actions = addon("scene.keys.actions")
    from_file = [key.co[1] for key in actions.find(resting, "edtalk.mouth_01").keyframe_points]
    resting.edtalk.voice_from = "SCENE"
    bpy.ops.edtalk.predict()
    from_scene = [key.co[1] for key in actions.find(resting, "edtalk.mouth_01").keyframe_points]
    assert np.ptp(from_file) > 0.05
    # Blender plays a mono recording on two speakers, each 3 dB softer
    np.testing.assert_allclose(from_scene, np.array(from_file) * np.sqrt(0.5), atol=0.01)


def test_keys_that_a_script_sets_on_top_count_at_once(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    bpy.ops.edtalk.bake()
    talking.edtalk.pose_02 += 0.7
    talking.keyframe_insert("edtalk.pose_02", frame=6)
    renders.clear()
    bpy.ops.edtalk.bake()
    assert renders == [12], "a key alone on top changes all frames"


def test_drivers_count(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake()
    before = frames_on_disk(talking)
    empty = bpy.data.objects.new("knob", None)
    bpy.context.scene.collection.objects.link(empty)
    empty["amount"] = 0.7
    addon("scene.keys.actions").remove(talking, ["edtalk.mouth_02"])
    driver = talking.driver_add("edtalk.mouth_02").driver
    driver.type = "SUM"
    variable = driver.variables.new()
    variable.targets[0].id = empty
    variable.targets[0].data_path = '["amount"]'
    bpy.ops.edtalk.bake()
    after = frames_on_disk(talking)
    assert all(before[frame] != after[frame] for frame in before)


def test_a_part_of_the_range_is_baked_into_the_same_take(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    bpy.ops.edtalk.bake(first=3, last=5)
    assert (talking.edtalk.take_first, talking.edtalk.take_last) == (3, 5)
    bpy.ops.edtalk.bake()
    assert (talking.edtalk.take_first, talking.edtalk.take_last) == (FIRST, LAST)
    assert renders == [3, 9]


def test_the_artists_own_curves_stay(addon: Any, resting: bpy.types.Object, voice: Path) -> None:
    resting.location.x = 3
    resting.keyframe_insert("location", frame=5)
    mine = resting.animation_data.action
    bpy.ops.edtalk.choose_voice(filepath=str(voice))
    bpy.ops.edtalk.predict()
    actions = addon("scene.keys.actions")
    assert resting.animation_data.action == mine
    assert actions.find(resting, "location", 0).evaluate(5) == 3
    assert len(actions.curves(resting)) == 36 + 3


def test_predicting_again_keeps_keys_outside_the_range(addon: Any, talking: bpy.types.Object) -> None:
    curve = addon("scene.keys.actions").find(talking, "edtalk.mouth_01")
    curve.keyframe_points.insert(100, 0.25)
    bpy.ops.edtalk.predict()
    curve = addon("scene.keys.actions").find(talking, "edtalk.mouth_01")
    frames = [key.co[0] for key in curve.keyframe_points]
    assert frames[: LAST - FIRST + 1] == list(range(FIRST, LAST + 1)) and frames[-1] == 100
    assert curve.evaluate(100) == 0.25


def test_one_undo_takes_a_prediction_back(addon: Any, resting: bpy.types.Object, voice: Path) -> None:
    bpy.ops.edtalk.choose_voice(filepath=str(voice))
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.edtalk.predict("EXEC_DEFAULT", True)
    name = resting.name
    assert len(addon("scene.keys.actions").curves(bpy.data.objects[name])) == 36
    bpy.ops.ed.undo()
    assert addon("scene.keys.actions").curves(bpy.data.objects[name]) == []
    assert bpy.data.objects[name].edtalk.is_character
    bpy.ops.ed.redo()
    assert len(addon("scene.keys.actions").curves(bpy.data.objects[name])) == 36


def test_a_saved_file_opens_as_it_was_and_its_folder_can_be_moved(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, renders: list[int]
) -> None:
    bpy.ops.edtalk.bake()
    weights = addon("scene.character").rest_weights(talking)
    bpy.ops.wm.save_mainfile()
    folder = Path(bpy.data.filepath).parent
    moved = tmp_path / "moved"
    folder.rename(moved)
    bpy.ops.wm.open_mainfile(filepath=str(moved / "shot.blend"))
    ob = bpy.data.objects["face"]
    np.testing.assert_array_equal(addon("scene.character").rest_weights(ob), weights)
    assert len(frames_on_disk(ob)) == LAST - FIRST + 1
    assert Path(bpy.path.abspath(ob.edtalk.voice)).is_file()
    bpy.ops.edtalk.bake()
    assert renders == [LAST - FIRST + 1], "all frames are still fresh"


def test_a_file_that_was_saved_on_windows_finds_its_files_elsewhere(
    addon: Any, talking: bpy.types.Object, portrait: Path
) -> None:
    bpy.ops.edtalk.bake()
    (portrait.parent / "faces").mkdir()
    portrait.rename(portrait.parent / "faces" / "face.png")
    talking.edtalk.portrait, talking.edtalk.take = "//faces\\face.png", "//edtalk\\face\\take_001"
    bpy.ops.edtalk.predict(first=1, last=4)
    movie = portrait.with_name("face.mp4")
    bpy.ops.edtalk.export_movie(filepath=str(movie))
    assert movie.is_file()
    bpy.ops.wm.save_mainfile()
    kept = talking.edtalk.portrait, talking.edtalk.take
    assert kept == ("//faces/face.png", "//edtalk/face/take_001"), "every system reads that"


@pytest.mark.skipif(os.name == "nt", reason="there such a path is meant")
@pytest.mark.parametrize("path", ["D:\\sounds\\voice.wav", "//server/x", "\\\\server\\share\\voice.wav"])
def test_what_lies_on_a_drive_of_windows_is_still_there_when_the_file_goes_back(
    addon: Any, resting: bpy.types.Object, tmp_path: Path, path: str
) -> None:
    resting.edtalk.voice = path
    bpy.ops.wm.save_mainfile()
    with pytest.raises(RuntimeError, match=re.escape(path.strip("/")) + " is not there"):
        bpy.ops.edtalk.predict()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert bpy.data.objects["face"].edtalk.voice == path


def test_the_live_picture_is_kept_in_the_file(addon: Any, resting: bpy.types.Object) -> None:
    image = resting.edtalk.live_image
    before = np.array(image.pixels[:])
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    after = np.array(bpy.data.objects["face"].edtalk.live_image.pixels[:])
    np.testing.assert_array_equal(before, after)


def test_frames_of_an_unsaved_file_come_along_when_it_is_saved(
    addon: Any, server: Any, unsaved: Callable[[], bpy.types.Object], tmp_path: Path, renders: list[int]
) -> None:
    ob = unsaved()
    bpy.ops.edtalk.bake(first=1, last=4)
    folder = Path(ob.edtalk.take)
    assert folder.is_absolute() and len(list(folder.glob("000[1-4].png"))) == 4
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "later.blend"))
    bpy.ops.edtalk.bake(first=1, last=4)
    assert ob.edtalk.take == "//edtalk/face/take_001"
    assert (tmp_path / "edtalk" / "face" / "take_001" / "0004.png").is_file()
    assert renders == [4]


def test_a_duplicate_bakes_into_a_take_of_its_own(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake(first=1, last=3)
    twin = talking.copy()
    bpy.context.scene.collection.objects.link(twin)
    bpy.context.view_layer.objects.active = twin
    bpy.ops.edtalk.bake(first=1, last=3)
    assert twin.edtalk.take != talking.edtalk.take


def pixels_of(image: bpy.types.Image) -> np.ndarray:
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels


@pytest.mark.parametrize("linked", [False, True])
def test_a_duplicate_leaves_the_originals_picture_alone(
    addon: Any, talking: bpy.types.Object, linked: bool
) -> None:
    bpy.ops.edtalk.bake()
    plane, before = addon("scene.plane"), pixels_of(talking.edtalk.live_image)
    assert bpy.ops.object.duplicate(linked=linked) == {"FINISHED"}
    twin = bpy.context.object
    assert twin != talking
    bpy.ops.edtalk.predict()
    addon("scene.keys.actions").find(twin, "edtalk.mouth_01").keyframe_points[0].co[1] = 3
    bpy.ops.edtalk.bake()
    assert plane.texture_node(talking).image.filepath == "//edtalk/face/take_001/0001.png"
    assert plane.texture_node(twin).image.filepath == "//edtalk/face.001/take_001/0001.png"
    frame = bytes(range(256)) * 64
    plane.show_live(twin, 64, 64, frame)
    np.testing.assert_array_equal(pixels_of(talking.edtalk.live_image), before)
    np.testing.assert_allclose(pixels_of(twin.edtalk.live_image)[:4] * 255, [0, 1, 2, 3], atol=0.01)
    twin.edtalk.show = "LIVE"
    assert plane.texture_node(talking).image == talking.edtalk.take_image


def paths_of(ob: bpy.types.Object) -> list[str]:
    return [ob.edtalk.portrait, ob.edtalk.voice, ob.edtalk.take, ob.edtalk.take_image.filepath]


def test_saving_a_copy_elsewhere_leaves_the_open_file_whole(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, renders: list[int]
) -> None:
    bpy.ops.edtalk.bake()
    before = paths_of(talking)
    folder = tmp_path / "backup" / "of today"
    folder.mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "copy.blend"), copy=True)
    assert paths_of(talking) == before
    with pytest.raises(RuntimeError):
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "no such folder" / "shot.blend"))
    assert paths_of(talking) == before
    bpy.ops.wm.open_mainfile(filepath=str(folder / "copy.blend"))
    bpy.ops.edtalk.predict()
    bpy.ops.edtalk.bake()
    assert renders == [LAST - FIRST + 1], "the copy finds the portrait, the voice and the frames"


def test_an_overridden_character_speaks_with_its_librarys_files(
    addon: Any, talking: bpy.types.Object, tmp_path: Path
) -> None:
    bpy.ops.edtalk.bake()
    bpy.ops.wm.save_mainfile()
    library, shot = bpy.data.filepath, tmp_path / "shots" / "first.blend"
    shot.parent.mkdir()
    bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(shot))
    bpy.context.scene.frame_end = LAST
    with bpy.data.libraries.load(library, link=True, relative=True) as (there, here):
        here.objects = there.objects
    bpy.context.scene.collection.objects.link(here.objects[0])
    ob = here.objects[0].override_create(remap_local_usages=True)
    bpy.context.view_layer.objects.active = ob
    ob.animation_data.action = None
    bpy.ops.edtalk.predict()
    bpy.ops.edtalk.bake()
    assert ob.edtalk.take == "//edtalk/face/take_001"
    assert (shot.parent / "edtalk" / "face" / "take_001" / "0012.png").is_file()
    bpy.ops.wm.save_mainfile()
    assert ob.edtalk.portrait == "//face.png", "still relative to the library"


def test_takes_can_go_to_a_folder_beside_the_file(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake(first=1, last=2, directory=bpy.path.abspath("//my takes"))
    assert talking.edtalk.take == "//my takes/face/take_001"


def test_predicting_again_keeps_edited_keys_in_a_copy_of_the_action(
    addon: Any, talking: bpy.types.Object
) -> None:
    actions = addon("scene.keys.actions")
    curve = actions.find(talking, "edtalk.mouth_01")
    predicted = curve.evaluate(4)
    curve.keyframe_points[3].co[1] = predicted + 2
    curve.update()
    bpy.ops.edtalk.predict()
    assert actions.find(talking, "edtalk.mouth_01").evaluate(4) == pytest.approx(predicted)
    kept = bpy.data.actions["EDTalk face (before predicting)"]
    assert kept.use_fake_user and not actions.role_of(kept)
    talking.animation_data.action = kept
    assert actions.find(talking, "edtalk.mouth_01").evaluate(4) == pytest.approx(predicted + 2)


def test_predicting_again_without_edits_keeps_no_copy(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    bpy.ops.edtalk.predict()
    bpy.ops.edtalk.predict(first=3, last=5)
    bpy.ops.edtalk.predict()
    assert [action.name for action in bpy.data.actions] == ["EDTalk face"]


def test_a_full_copy_of_the_scene_has_a_character_of_its_own(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake()
    plane, old_take = addon("scene.plane"), talking.edtalk.take
    before = {path.name: path.read_bytes() for path in Path(bpy.path.abspath(old_take)).iterdir()}
    scene = bpy.context.scene
    assert bpy.ops.scene.new(type="FULL_COPY") == {"FINISHED"}
    assert bpy.context.scene != scene
    (copy,) = addon("scene.character").characters(bpy.context.scene)
    assert copy != talking
    bpy.context.view_layer.objects.active = copy
    bpy.ops.edtalk.predict()
    copy.edtalk.gain.mouth = 0.5
    bpy.ops.edtalk.bake()
    assert copy.edtalk.take != old_take
    after = {path.name: path.read_bytes() for path in Path(bpy.path.abspath(old_take)).iterdir()}
    assert after == before, "the original's frames stay"
    assert plane.texture_node(copy).image != plane.texture_node(talking).image
    assert plane.texture_node(talking).image == talking.edtalk.take_image
    assert talking.edtalk.gain.mouth == 1.0


def test_in_two_scenes_one_character_bakes_the_range_of_the_scene_that_is_worked_in(
    addon: Any, talking: bpy.types.Object
) -> None:
    assert bpy.ops.scene.new(type="LINK_COPY") == {"FINISHED"}
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 3, 5
    bpy.context.view_layer.objects.active = talking
    bpy.ops.edtalk.bake()
    assert (talking.edtalk.take_first, talking.edtalk.take_last) == (3, 5)
    assert addon("scene.character").characters(scene) == [talking]
