"""Poses and emotions in Blender: what an animator sees on the sliders and in the frames."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "edtalk_server" / "bundles" / "starter" / "bundle.json"
FIRST, LAST = 1, 60


@pytest.fixture
def presets() -> dict[str, dict[str, float]]:
    """The expressions of the bundle that ships."""
    return json.loads(BUNDLE.read_text("utf-8"))["presets"]


@pytest.fixture
def face(addon: Any, resting: bpy.types.Object, presets: dict[str, dict[str, float]]) -> bpy.types.Object:
    """A character of the starter bundle, whose portrait smiles a little and looks aside."""
    character, layout = addon("scene.character"), addon("core.weights.layouts").starter_layout()
    rest = np.zeros(36, np.float32)
    rest[layout.index("smile")], rest[layout.index("yaw")] = 0.25, 0.5
    character.set_source(resting, resting.edtalk.source, "Starter 0.1.0", layout, rest, [], presets)
    character.write_weights(resting, rest)
    return resting


@pytest.fixture
def speaking(addon: Any, face: bpy.types.Object) -> bpy.types.Object:
    """The same with a performance over sixty frames: the jaw goes up and down."""
    bpy.context.scene.frame_end = LAST
    weights = np.tile(addon("scene.character").rest_weights(face), (LAST, 1))
    weights[:, 0] = 0.5 + 0.3 * np.sin(np.arange(LAST) / 5)
    keys = [addon("core.weights.curves").dense(FIRST, column) for column in weights.T]
    run_to_end = addon("core.tasks").run_to_end
    run_to_end(addon("scene.keys.layers").write_performance(face, range(FIRST, LAST + 1), keys))
    return face


@pytest.fixture
def clipboard(addon: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Blender without a window has none: what would be in it."""
    kept, keys = [""], addon("ui.weights.weight_operators")
    monkeypatch.setattr(keys, "clipboard", lambda: kept[0])
    monkeypatch.setattr(keys, "put_on_clipboard", lambda text: kept.__setitem__(0, text))
    return kept


def seen(ob: bpy.types.Object, frame: int, name: str = "mouth_01") -> float:
    bpy.context.scene.frame_set(frame)
    return getattr(ob.edtalk, name)


def course(ob: bpy.types.Object, name: str = "mouth_01") -> np.ndarray:
    return np.array([seen(ob, frame, name) for frame in range(FIRST, LAST + 1)])


def shown(addon: Any, ob: bpy.types.Object, frame: int, identifier: str) -> float:
    """What is rendered at a frame."""
    bpy.context.scene.frame_set(frame)
    evaluated = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    row = addon("scene.character").final_weights(evaluated)
    return float(row[addon("scene.character").layout_of(ob).index(identifier)])


# --- keys ------------------------------------------------------------------------------------------------------------


def test_reset_reaches_a_few_frames_and_leaves_the_rest_of_the_shot(
    addon: Any, speaking: bpy.types.Object
) -> None:
    before = course(speaking)
    bpy.context.scene.frame_set(30)
    bpy.ops.edtalk.reset_weights(bank="mouth")
    after = course(speaking)
    reach = speaking.edtalk.writing.reach
    assert after[29] == pytest.approx(0.0, abs=1e-6), "the portrait's own weight"
    far = np.abs(np.arange(FIRST, LAST + 1) - 30) >= reach
    np.testing.assert_allclose(after[far], before[far], atol=1e-6)
    assert (after[~far] < before[~far]).all(), "it fades in and out"


def test_a_second_key_near_the_first_leaves_that_one(addon: Any, speaking: bpy.types.Object) -> None:
    scene, posing = bpy.context.scene, addon("scene.poses.posing")
    for frame, value in ((30, 1.0), (34, 0.1)):
        scene.frame_set(frame)
        posing.apply_pose(speaking, scene, {"jaw_open": value})
    assert seen(speaking, 30) == pytest.approx(1.0, abs=1e-5)
    assert seen(speaking, 34) == pytest.approx(0.1, abs=1e-5)


def test_with_reach_zero_a_key_holds(addon: Any, speaking: bpy.types.Object) -> None:
    before = course(speaking)
    speaking.edtalk.writing.reach = 0
    bpy.context.scene.frame_set(30)
    bpy.ops.edtalk.reset_weights(bank="mouth")
    np.testing.assert_allclose(course(speaking) - before, -before[29], atol=1e-5)


@pytest.mark.parametrize(("bank", "count"), [("ALL", 36), ("mouth", 20), ("pose", 6), ("expression", 10)])
def test_one_click_keys_a_bank(addon: Any, face: bpy.types.Object, bank: str, count: int) -> None:
    bpy.context.scene.frame_set(7)
    bpy.ops.edtalk.key_weights(bank=bank)
    curves = addon("scene.keys.actions").assigned_sheet(face).curves()
    assert len(curves) == count
    assert {curve.keyframe_points[0].co[0] for curve in curves} == {7}
    assert {curve.group.name for curve in curves} <= {"Mouth", "Pose", "Expression"}
    assert {curve.color_mode for curve in curves} == {"CUSTOM"}
    before = {curve.data_path: curve.keyframe_points[0].co[1] for curve in curves}
    if "edtalk.pose_02" in before:
        assert before["edtalk.pose_02"] == 0.5, "keyed with the value that was shown"


def test_without_animation_a_pose_is_only_set(addon: Any, face: bpy.types.Object) -> None:
    addon("scene.poses.posing").apply_pose(face, bpy.context.scene, {"jaw_open": 0.5})
    assert face.edtalk.mouth_01 == 0.5 and addon("scene.keys.actions").curves(face) == []
    bpy.ops.edtalk.reset_weights()
    assert face.edtalk.mouth_01 == 0.0 and face.edtalk.pose_02 == 0.5
    bpy.context.scene.tool_settings.use_keyframe_insert_auto = True
    addon("scene.poses.posing").apply_pose(face, bpy.context.scene, {"jaw_open": 0.5})
    assert len(addon("scene.keys.actions").curves(face)) == 1, "auto-keying keys it"


def test_mirror_exchanges_left_and_right(addon: Any, face: bpy.types.Object) -> None:
    addon("scene.poses.posing").apply_pose(
        face, bpy.context.scene, {"blink_left": 1.0, "jaw_left": 0.25, "pitch": 0.1, "gaze_left": -0.5}
    )
    bpy.ops.edtalk.mirror_weights()
    pose = addon("scene.poses.posing").read_pose(face)
    wanted = {
        "blink_left": 0,
        "blink_right": 1,
        "jaw_left": -0.25,
        "pitch": 0.1,
        "gaze_left": 0.5,
        "yaw": -0.5,
    }
    assert {name: pose[name] for name in wanted} == pytest.approx(wanted)


def test_numbered_weights_cannot_be_mirrored(resting: bpy.types.Object) -> None:
    with pytest.raises(RuntimeError, match="left and right are not known"):
        bpy.ops.edtalk.mirror_weights()


def test_a_pose_goes_to_another_character_as_text(
    addon: Any, face: bpy.types.Object, clipboard: list[str]
) -> None:
    twin = face.copy()
    bpy.context.scene.collection.objects.link(twin)
    addon("scene.poses.posing").apply_pose(face, bpy.context.scene, {"jaw_open": 0.75, "frown": 0.5})
    bpy.ops.edtalk.copy_pose(bank="mouth")
    assert json.loads(clipboard[0])["weights"]["jaw_open"] == 0.75
    bpy.context.view_layer.objects.active = twin
    bpy.ops.edtalk.paste_pose()
    assert (twin.edtalk.mouth_01, twin.edtalk.expression_02) == (0.75, 0.0), "only the mouth was copied"


@pytest.mark.parametrize("text", ["a letter", '{"edtalk_pose": 1, "weights": {"wings": 1}}'])
def test_pasting_something_else_changes_nothing(
    addon: Any, face: bpy.types.Object, clipboard: list[str], text: str
) -> None:
    clipboard[0] = text
    before = addon("scene.poses.posing").read_pose(face)
    with pytest.raises(RuntimeError, match="pose"):
        bpy.ops.edtalk.paste_pose()
    assert addon("scene.poses.posing").read_pose(face) == before


def test_what_a_driver_holds_is_left_to_it(addon: Any, face: bpy.types.Object) -> None:
    face.driver_add("edtalk.mouth_01").driver.expression = "0.125"
    bpy.ops.edtalk.key_weights(bank="pose")
    posed = addon("scene.poses.posing").apply_pose(face, bpy.context.scene, {"jaw_open": 1.0, "pucker": 0.5})
    assert posed.driven == ("mouth_01",) and face.edtalk.mouth_06 == 0.5


def test_each_is_one_undo_step(addon: Any, speaking: bpy.types.Object) -> None:
    name = speaking.name
    bpy.context.scene.frame_set(30)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.edtalk.reset_weights("EXEC_DEFAULT", True)
    assert bpy.data.objects[name].animation_data.action is not None
    bpy.ops.ed.undo()
    assert bpy.data.objects[name].animation_data.action is None
    bpy.ops.ed.redo()
    assert bpy.data.objects[name].animation_data.action is not None


# --- emotions and gains ----------------------------------------------------------------------------------------------


def test_an_emotion_lies_over_the_speech(
    addon: Any, speaking: bpy.types.Object, presets: dict[str, dict[str, float]]
) -> None:
    raised = presets["surprised"]["brow_raise"]
    jaw = shown(addon, speaking, 20, "jaw_open")
    speaking.edtalk.emotion.surprised = 0.5
    speaking.update_tag()
    dropped = jaw + 0.5 * presets["surprised"].get("jaw_open", 0.0)
    assert shown(addon, speaking, 20, "jaw_open") == pytest.approx(dropped)
    assert shown(addon, speaking, 20, "brow_raise") == pytest.approx(0.5 * raised)
    speaking.edtalk.emotion.strength = 0.5
    speaking.update_tag()
    assert shown(addon, speaking, 20, "brow_raise") == pytest.approx(0.25 * raised)


def test_the_portraits_expression_can_be_taken_away(addon: Any, speaking: bpy.types.Object) -> None:
    assert shown(addon, speaking, 20, "smile") == pytest.approx(0.25)
    bpy.ops.edtalk.neutralise()
    assert speaking.edtalk.emotion.neutral == 1.0
    assert shown(addon, speaking, 20, "smile") == pytest.approx(0.0, abs=1e-6)


def test_gains_scale_a_bank_and_can_be_animated(addon: Any, speaking: bpy.types.Object) -> None:
    full = shown(addon, speaking, 40, "jaw_open")
    for frame, value in ((1, 0.0), (40, 0.5)):
        speaking.edtalk.gain.mouth = value
        speaking.keyframe_insert("edtalk.gain.mouth", frame=frame)
    speaking.update_tag()
    assert shown(addon, speaking, 1, "jaw_open") == 0.0
    assert shown(addon, speaking, 40, "jaw_open") == pytest.approx(full / 2)
    assert shown(addon, speaking, 1, "yaw") == 0.5, "the other banks stay"


def test_a_bake_shows_emotions_and_renders_what_they_change(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    session = addon.session
    happy = {"happy": {"expression_01": 3.0}, "neutral": {"expression_01": 0.0}}
    session.bundle = dataclasses.replace(session.bundle, presets=happy)
    bpy.ops.edtalk.bake()
    emotion = talking.edtalk.emotion
    for frame, value in ((6, 0.0), (7, 1.0)):
        emotion.happy = value
        talking.keyframe_insert("edtalk.emotion.happy", frame=frame)
    talking.update_tag()
    bpy.ops.edtalk.bake()
    assert renders == [12, 6], "frames 7 to 12 became happy"


def test_an_expression_can_be_keyed_as_weights(
    addon: Any, speaking: bpy.types.Object, presets: dict[str, dict[str, float]]
) -> None:
    bpy.context.scene.frame_set(30)
    bpy.ops.edtalk.apply_preset(preset="happy")
    assert seen(speaking, 30, "expression_01") == pytest.approx(presets["happy"]["smile"])
    assert seen(speaking, 10, "expression_01") == pytest.approx(0.25), "the portrait's own smile"
    with pytest.raises(RuntimeError, match="no expression 'bored'"):
        bpy.ops.edtalk.apply_preset(preset="bored")


def test_an_expression_is_keyed_also_where_nothing_moves_yet(
    addon: Any, face: bpy.types.Object, presets: dict[str, dict[str, float]]
) -> None:
    bpy.ops.edtalk.apply_preset(preset="sad")
    assert len(addon("scene.keys.actions").curves(face)) == len(presets["sad"])


def test_markers_drive_emotions_and_doing_it_again_replaces_only_that(
    addon: Any, speaking: bpy.types.Object
) -> None:
    scene = bpy.context.scene
    scene.render.fps, speaking.edtalk.emotion.blend = 25, 0.4
    with pytest.raises(RuntimeError, match="timeline markers"):
        bpy.ops.edtalk.emotions_from_markers()
    markers = scene.timeline_markers
    markers.new("happy 0.7", frame=10)
    markers.new("Chorus", frame=20)
    markers.new("face: sad", frame=40)
    markers.new("Someone: angry", frame=45)
    bpy.ops.edtalk.emotions_from_markers()
    emotion = {name: course_of_emotion(speaking, name) for name in ("happy", "sad", "angry")}
    assert emotion["happy"][[9, 19, 39, 49]] == pytest.approx([0, 0.7, 0.7, 0], abs=1e-5)
    assert emotion["sad"][[38, 49, 59]] == pytest.approx([0, 1, 1], abs=1e-5)
    assert not emotion["angry"].any()
    scene.frame_set(30)
    speaking.edtalk.emotion.happy = 0.2
    speaking.keyframe_insert("edtalk.emotion.happy")
    speaking.update_tag()
    markers.remove(markers["face: sad"])
    bpy.ops.edtalk.emotions_from_markers()
    again = course_of_emotion(speaking, "happy")
    assert again[29] == pytest.approx(0.2, abs=1e-5), "the key by hand stays"
    assert not course_of_emotion(speaking, "sad").any()
    assert [track.name for track in speaking.animation_data.nla_tracks] == [
        "EDTalk Performance",
        "EDTalk Emotions",
    ]
    markers.clear()
    bpy.ops.edtalk.emotions_from_markers()
    assert [track.name for track in speaking.animation_data.nla_tracks] == ["EDTalk Performance"]


def test_an_emotion_is_marked_at_the_current_frame_and_felt_at_once(
    addon: Any, speaking: bpy.types.Object
) -> None:
    scene = bpy.context.scene
    scene.timeline_markers.new("Chorus", frame=20)
    scene.frame_set(20)
    bpy.ops.edtalk.mark_emotion(emotion="sad")
    bpy.ops.edtalk.mark_emotion(emotion="happy 0.5")
    assert sorted(marker.name for marker in scene.timeline_markers) == ["Chorus", "happy 0.5"]
    assert course_of_emotion(speaking, "happy")[[18, 49]] == pytest.approx([0, 0.5], abs=1e-5)
    with pytest.raises(RuntimeError, match="bored is no emotion"):
        bpy.ops.edtalk.mark_emotion(emotion="bored")


def course_of_emotion(ob: bpy.types.Object, name: str) -> np.ndarray:
    values = []
    for frame in range(FIRST, LAST + 1):
        bpy.context.scene.frame_set(frame)
        values.append(getattr(ob.edtalk.emotion, name))
    return np.array(values)


def test_emotions_from_markers_at_a_broken_frame_rate(addon: Any, speaking: bpy.types.Object) -> None:
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 24, 1.001
    scene.timeline_markers.new("happy", frame=50)
    bpy.ops.edtalk.emotions_from_markers()
    curve = addon("scene.keys.layers").find_sheet(speaking, "emotions").find("edtalk.emotion.happy")
    assert curve.keyframe_points[0].co[0] == 50.0


def test_a_character_without_a_presets_bundle_says_so(resting: bpy.types.Object) -> None:
    for operator in ("emotions_from_markers", "apply_preset", "neutralise"):
        with pytest.raises(RuntimeError, match="bundle"):
            getattr(bpy.ops.edtalk, operator)()


def test_the_panel_says_which_emotions_a_bundle_does_not_know(
    addon: Any, presets: dict[str, dict[str, float]]
) -> None:
    explain = addon("ui.weights.emotion_panel").explain_grey
    assert explain(presets) == ""
    known = {name: pose for name, pose in presets.items() if name not in {"fear", "contempt"}}
    assert explain(known) == "This bundle does not know: Fear, Contempt"
    assert "no expressions" in explain({})


def test_a_misspelt_marker_is_told_of(addon: Any, speaking: bpy.types.Object) -> None:
    markers = bpy.context.scene.timeline_markers
    markers.new("hapy 0.7", frame=10)
    with pytest.raises(RuntimeError, match="names no emotion: is happy meant"):
        bpy.ops.edtalk.emotions_from_markers()
    markers.new("sad 70", frame=20)
    markers.new("face: angry 2", frame=40)
    bpy.ops.edtalk.emotions_from_markers()
    doubts = addon("scene.speech.cues").doubts(bpy.context.scene, speaking)
    assert ["is happy meant" in doubts[0], "counts as 1" in doubts[1], len(doubts)] == [True, True, 2]
    assert course_of_emotion(speaking, "sad")[34] == pytest.approx(0.7, abs=1e-5)


def test_a_character_acts_more_strongly_in_one_step(addon: Any, speaking: bpy.types.Object) -> None:
    gain, emotion = speaking.edtalk.gain, speaking.edtalk.emotion
    bpy.ops.edtalk.set_strength(strength="STAGE")
    assert min(gain.mouth, gain.pose, gain.expression, emotion.strength) > 1.0
    gain.pose = 0.5
    speaking.keyframe_insert("edtalk.gain.pose", frame=1)
    bpy.ops.edtalk.set_strength(strength="NATURAL")
    assert (gain.mouth, gain.pose, gain.expression, emotion.strength) == (1.0, 0.5, 1.0, 1.0), "keys stay"


def test_a_character_keeps_ways_of_acting_under_names(addon: Any, speaking: bpy.types.Object) -> None:
    strength, gain = addon("ui.weights.strength"), speaking.edtalk.gain
    gain.pose, speaking.edtalk.emotion.strength = 0.25, 0.5
    assert strength.shown_name(speaking) == ""
    bpy.ops.edtalk.save_strength(name="Tired")
    assert strength.shown_name(speaking) == "Tired", "the menu is called like what the sliders show"
    bpy.ops.edtalk.set_strength(strength="STAGE")
    assert strength.shown_name(speaking) == "Stage"
    bpy.ops.edtalk.apply_strength(name="Tired")
    assert (gain.mouth, gain.pose, speaking.edtalk.emotion.strength) == (1.0, 0.25, 0.5)
    gain.pose = 0.75
    bpy.ops.edtalk.save_strength(name="Tired")
    assert {name: one.pose for name, one in strength.own_strengths(speaking).items()} == {"Tired": 0.75}
    with pytest.raises(RuntimeError, match="has no name"):
        bpy.ops.edtalk.save_strength(name=" ")
    with pytest.raises(RuntimeError, match="no acting preset “Lively”"):
        bpy.ops.edtalk.apply_strength(name="Lively")
    bpy.ops.edtalk.remove_strength(name="Tired")
    assert strength.own_strengths(speaking) == {} and gain.pose == 0.75
    assert not bpy.ops.edtalk.remove_strength.poll()


def test_ways_of_acting_are_in_the_file_and_come_back_by_undo(addon: Any, speaking: bpy.types.Object) -> None:
    strength, name = addon("ui.weights.strength"), speaking.name
    speaking.edtalk.gain.mouth = 0.5
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.edtalk.save_strength(name="Whisper")
    bpy.ops.ed.undo_push(message="kept")
    bpy.ops.edtalk.remove_strength(name="Whisper")
    bpy.ops.ed.undo_push(message="removed")
    bpy.ops.ed.undo()
    assert strength.own_strengths(bpy.data.objects[name])["Whisper"].mouth == 0.5
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert list(strength.own_strengths(bpy.data.objects[name])) == ["Whisper"]
