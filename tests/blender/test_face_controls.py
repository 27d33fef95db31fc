"""Handles on the face: what a drag sets, keys and undoes, and where they are on the plane."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import pytest


@pytest.fixture
def face(addon: Any, resting: bpy.types.Object) -> bpy.types.Object:
    """A character of the starter bundle at rest."""
    as_starter(addon, resting)
    return resting


def as_starter(addon: Any, ob: bpy.types.Object) -> None:
    """Give a character the starter's names, at zero."""
    character, layout = addon("scene.character"), addon("core.weights.layouts").starter_layout()
    character.set_source(ob, ob.edtalk.source, "Starter", layout, np.zeros(36, np.float32), [])
    character.write_weights(ob, np.zeros(36, np.float32))


def pose_of(addon: Any, ob: bpy.types.Object) -> dict[str, float]:
    """The sliders that are not zero."""
    values = addon("scene.face_points").slider_values(ob)
    return {name: round(value, 4) for name, value in values.items() if abs(value) > 1e-5}


def keyed(addon: Any, ob: bpy.types.Object) -> set[str]:
    names = {
        f"edtalk.{channel}": name
        for name, channel in addon("scene.poses.posing").channels_by_identifier(ob).items()
    }
    return {names[curve.data_path] for curve in addon("scene.keys.actions").curves(ob)}


@pytest.fixture
def auto_key() -> Any:
    settings = bpy.context.scene.tool_settings
    settings.use_keyframe_insert_auto = True
    yield
    settings.use_keyframe_insert_auto = False


def test_a_drag_sets_weights_and_keys_nothing(addon: Any, face: bpy.types.Object) -> None:
    bpy.ops.edtalk.drag_face(handle="jaw", y=0.045)
    assert pose_of(addon, face) == {"jaw_open": 0.5}
    assert keyed(addon, face) == set()


def test_with_auto_keying_what_moved_gets_a_key(addon: Any, face: bpy.types.Object, auto_key: None) -> None:
    bpy.ops.edtalk.drag_face(handle="jaw", y=0.045)
    assert keyed(addon, face) == {"jaw_open"}
    bpy.ops.edtalk.drag_face(handle="blink_left", y=0.015, both_sides=False)
    assert keyed(addon, face) == {"jaw_open", "blink_left"}


def test_the_key_i_keys_all_weights_of_a_handle(addon: Any, face: bpy.types.Object) -> None:
    bpy.ops.edtalk.key_handle(handle="jaw")
    assert keyed(addon, face) == {"jaw_open", "jaw_left", "shrug_lower"}


def test_a_weight_with_a_driver_stays(addon: Any, face: bpy.types.Object) -> None:
    face.driver_add("edtalk.mouth_01").driver.expression = "0.25"
    bpy.context.view_layer.update()
    before = face.edtalk.mouth_01
    bpy.ops.edtalk.drag_face(handle="jaw", x=0.025, y=0.045)
    assert face.edtalk.mouth_01 == before
    assert pose_of(addon, face)["jaw_left"] == pytest.approx(0.5)


def test_all_selected_characters_are_dragged_from_where_they_are(
    addon: Any, face: bpy.types.Object, portrait: Any
) -> None:
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    other = bpy.context.object
    as_starter(addon, other)
    other.edtalk.mouth_01 = 0.25
    face.select_set(True)
    bpy.ops.edtalk.drag_face(handle="jaw", y=0.045)
    assert pose_of(addon, other) == {"jaw_open": 0.75}
    assert pose_of(addon, face) == {"jaw_open": 0.5}
    face.select_set(False)
    bpy.ops.edtalk.drag_face(handle="jaw", y=-0.045)
    assert pose_of(addon, face) == {"jaw_open": 0.5}, "what is not selected stays"


def test_handles_lie_on_the_face_in_both_framings(addon: Any, face: bpy.types.Object) -> None:
    points, crops = addon("scene.face_points"), addon("scene.portrait_crop")
    low, high = face.bound_box[0], face.bound_box[6]
    left_top, middle = points.to_plane(face, (0.0, 0.0)), points.to_plane(face, (0.5, 0.5))
    assert tuple(left_top) == pytest.approx((low[0], 0, high[2]))
    assert tuple(middle) == pytest.approx((0, 0, 0), abs=1e-6)
    face.edtalk.bake.framing = "FULL"
    crop = crops.Crop(24.0, 72.0, 48.0)
    crops.set_crop(face, crop)
    middle = points.to_plane(face, (0.5, 0.5))
    assert tuple(middle) == pytest.approx((low[0] / 2, 0, low[2] / 2), abs=1e-6), "of the lower left quarter"


def test_landmarks_of_the_server_are_kept_with_the_picture(addon: Any, face: bpy.types.Object) -> None:
    crops, messages = addon("scene.portrait_crop"), addon("ui.runtime.range_operator")
    found = tuple(0.4 for _ in range(136))
    crops.remember_prepared(face, messages.Prepared(landmarks=found, full_width=96, full_height=96))
    assert crops.landmarks(face) == found
    assert addon("scene.face_points").face_of(face).landmarks[0] == (0.4, 0.4)
    crops.remember(face, crops.seen(face))
    assert crops.landmarks(face) == found, "another look at the same picture keeps them"
    face.edtalk.picture.side = 40
    assert crops.landmarks(face) == ()


def test_a_bundle_without_names_has_no_handles(addon: Any, resting: bpy.types.Object) -> None:
    layout = addon("scene.character").layout_of(resting)
    assert addon("core.weights.face_handles").handles_of(layout) == ()


def test_a_click_alone_is_no_step_to_undo(face: bpy.types.Object, auto_key: None) -> None:
    assert bpy.ops.edtalk.drag_face(handle="jaw") == {"CANCELLED"}
    assert bpy.ops.edtalk.drag_face(handle="jaw", y=0.01) == {"FINISHED"}


def test_where_no_handles_are_seen_the_key_i_is_blenders(addon: Any, face: bpy.types.Object) -> None:
    module = addon("ui.face.drag_operator")
    assert module.shows_handles(bpy.context)
    face.edtalk.show = "TAKE"
    assert not module.shows_handles(bpy.context), "baked frames do not follow"
    face.edtalk.show = "LIVE"
    face.hide_set(True)
    assert not module.shows_handles(bpy.context)
