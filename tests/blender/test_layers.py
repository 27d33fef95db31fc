"""Generated and hand work apart: what an animator keys stays, is seen, and lies on top, however often one predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

pytestmark = pytest.mark.versions

FIRST, LAST = 1, 12
JAW = "edtalk.mouth_01"


def seen(ob: bpy.types.Object, frame: int, name: str = "mouth_01") -> float:
    """The weight as the slider shows it at a frame."""
    bpy.context.scene.frame_set(frame)
    return getattr(ob.edtalk, name)


def course(ob: bpy.types.Object) -> np.ndarray:
    """The slider's values over the shot."""
    return np.array([seen(ob, frame) for frame in range(FIRST, LAST + 1)])


def key(ob: bpy.types.Object, frame: int, value: float) -> None:
    """Drag the jaw's slider and press I."""
    bpy.context.scene.frame_set(frame)
    ob.edtalk.mouth_01 = value
    assert ob.keyframe_insert(JAW)
    ob.update_tag()  # the key I does it, a script has to say it


def predicted_keys(addon: Any, ob: bpy.types.Object) -> list[tuple[float, ...]]:
    sheet = addon("scene.keys.layers").find_sheet(ob, "performance")
    return [tuple(point.co) for point in sheet.find(JAW).keyframe_points]


def test_a_key_on_top_is_the_value_that_was_set_and_shifts_what_lies_below(
    addon: Any, talking: bpy.types.Object
) -> None:
    before, generated = course(talking), predicted_keys(addon, talking)
    key(talking, 4, 1.5)
    after = course(talking)
    assert after[3] == pytest.approx(1.5)
    np.testing.assert_allclose(after - before, 1.5 - before[3], atol=1e-5)
    assert predicted_keys(addon, talking) == generated
    hand = talking.animation_data.action
    assert addon("scene.keys.actions").role_of(hand) == "", "the action with the keys is the artist's"


def test_no_predicted_key_comes_selected(addon: Any, talking: bpy.types.Object) -> None:
    """The next G in the Graph Editor would move the whole performance."""
    talking.edtalk.emotion.presets = '{"happy": {}}'
    bpy.context.scene.timeline_markers.new("happy 0.7", frame=4)
    bpy.ops.edtalk.emotions_from_markers()
    bpy.ops.edtalk.predict(first=4, last=8)  # keys that hold the rest are set as well
    keys = [key for curve in addon("scene.keys.actions").curves(talking) for key in curve.keyframe_points]
    assert len(keys) > 36 * 12
    for part in ("select_control_point", "select_left_handle", "select_right_handle"):
        assert not any(getattr(key, part) for key in keys)


def test_predicting_again_changes_the_performance_and_leaves_keys_on_top(
    addon: Any, talking: bpy.types.Object, voice: Path
) -> None:
    key(talking, 4, 1.5)
    key(talking, 9, -0.5)
    hand = talking.animation_data.action
    offsets = [tuple(point.co) for point in addon("scene.keys.actions").find(talking, JAW).keyframe_points]
    performance = predicted_keys(addon, talking)
    talking.edtalk.voice_start = 4  # the voice comes later
    bpy.ops.edtalk.predict()
    assert talking.animation_data.action == hand
    assert [
        tuple(point.co) for point in addon("scene.keys.actions").find(talking, JAW).keyframe_points
    ] == offsets
    assert predicted_keys(addon, talking) != performance
    below = dict(predicted_keys(addon, talking))
    assert seen(talking, 4) == pytest.approx(below[4] + offsets[0][1], abs=1e-5)
    assert [action.name for action in bpy.data.actions if "before" in action.name] == []


def test_keys_that_were_there_before_predicting_stay_and_are_told_of(
    addon: Any, resting: bpy.types.Object, voice: Path
) -> None:
    bpy.ops.edtalk.choose_voice(filepath=str(voice))
    key(resting, 2, 1.25)
    key(resting, 9, 0.25)
    for _ in range(2):
        bpy.ops.edtalk.predict()
        assert (seen(resting, 2), seen(resting, 9)) == (1.25, 0.25)
    look = addon("scene.keys.layers").layer_state(resting)
    assert look.performance and look.hiding == resting.animation_data.action.name
    below = predicted_keys(addon, resting)
    bpy.ops.edtalk.edit_on_top()
    assert (seen(resting, 2), seen(resting, 9)) == (1.25, 0.25), "what they show stays"
    assert not addon("scene.keys.layers").layer_state(resting).hiding
    key(resting, 5, 2.0)
    assert seen(resting, 5) == pytest.approx(2.0)
    assert predicted_keys(addon, resting) == below, "the performance is still there"


def test_the_artists_action_plays_on_as_it_did(addon: Any, resting: bpy.types.Object, voice: Path) -> None:
    resting.rotation_mode = "QUATERNION"
    poses = {
        "location": (1.0, 2.0, 3.0),
        "scale": (2.0, 0.5, 1.5),
        "rotation_quaternion": (0.5, 0.5, 0.5, 0.5),
        "color": (0.25, 0.5, 0.75, 0.5),
    }
    for name, value in poses.items():
        setattr(resting, name, value)
        resting.keyframe_insert(name, frame=5)
    resting.hide_render = True
    resting.keyframe_insert("hide_render", frame=5)
    action = resting.animation_data.action
    bpy.ops.edtalk.choose_voice(filepath=str(voice))
    bpy.ops.edtalk.predict()
    assert resting.animation_data.action == action
    seen(resting, 8)
    for name, value in poses.items():
        assert tuple(getattr(resting, name)) == pytest.approx(value)
    assert resting.hide_render
    key(resting, 6, 0.9)
    assert seen(resting, 6) == pytest.approx(0.9), "keys of weights in it lie on top"


def test_editing_the_performance_itself_and_going_back(addon: Any, talking: bpy.types.Object) -> None:
    key(talking, 4, 1.5)
    hand, raised = talking.animation_data.action, seen(talking, 6)
    assert bpy.ops.edtalk.edit_performance() == {"FINISHED"}
    assert talking.animation_data.action.name == "EDTalk face", "the Graph Editor shows the performance"
    with pytest.raises(RuntimeError, match="Tweaks"):
        bpy.ops.edtalk.predict()
    key(talking, 6, 0.125)
    assert dict(predicted_keys(addon, talking))[6] == pytest.approx(0.125)
    bpy.ops.edtalk.edit_on_top()
    assert talking.animation_data.action == hand
    assert seen(talking, 4) == pytest.approx(1.5)
    assert seen(talking, 6) != pytest.approx(raised)
    bpy.ops.edtalk.predict()
    kept = bpy.data.actions["EDTalk face (before predicting)"]
    assert kept.use_fake_user
    assert seen(talking, 6) == pytest.approx(raised), "predicted anew"


def test_tracks_of_the_artist_stay_where_and_what_they_are(
    addon: Any, resting: bpy.types.Object, voice: Path
) -> None:
    resting.location.x = 3
    resting.keyframe_insert("location", frame=5)
    data = resting.animation_data
    data.nla_tracks.new().strips.new("walk", 1, data.action)
    data.action = None
    bpy.ops.edtalk.choose_voice(filepath=str(voice))
    bpy.ops.edtalk.predict()
    assert [track.name for track in data.nla_tracks] == ["NlaTrack", "EDTalk Performance"]
    seen(resting, 5)
    assert resting.location.x == pytest.approx(3)


def test_weights_on_a_track_of_the_artist_are_told_of(
    addon: Any, resting: bpy.types.Object, voice: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key(resting, 2, 1.25)
    data = resting.animation_data
    data.nla_tracks.new().strips.new("by hand", 1, data.action)
    data.action = None
    bpy.ops.edtalk.choose_voice(filepath=str(voice))
    bpy.ops.edtalk.predict()
    assert "hides your track NlaTrack" in capfd.readouterr().out
    assert data.nla_tracks[0].strips[0].action is not None


def test_a_strip_that_was_moved_is_kept_and_a_new_one_made(addon: Any, talking: bpy.types.Object) -> None:
    strip = talking.animation_data.nla_tracks[0].strips[0]
    strip.frame_end += 5
    strip.frame_start += 5
    strip.frame_end = strip.frame_start + (LAST - FIRST)
    action = strip.action
    bpy.ops.edtalk.predict()
    kept, fresh = talking.animation_data.nla_tracks
    assert kept.strips[0].mute and kept.strips[0].action == action and "before predicting" in kept.name
    assert (fresh.strips[0].frame_start, fresh.strips[0].frame_end) == (FIRST, LAST)


def test_predicting_the_next_part_lengthens_the_strip(addon: Any, talking: bpy.types.Object) -> None:
    first = [seen(talking, frame) for frame in range(FIRST, LAST)]
    bpy.ops.edtalk.predict(first=13, last=20)
    strip = talking.animation_data.nla_tracks[0].strips[0]
    assert (strip.frame_start, strip.frame_end, strip.scale) == (1, 20, 1)
    assert [seen(talking, frame) for frame in range(FIRST, LAST)] == pytest.approx(first, abs=1e-6)


def test_a_duplicate_gets_a_performance_of_its_own(addon: Any, talking: bpy.types.Object) -> None:
    twin = talking.copy()
    bpy.context.scene.collection.objects.link(twin)
    before = predicted_keys(addon, talking)
    twin.edtalk.voice_start = 5
    bpy.context.view_layer.objects.active = twin
    bpy.ops.edtalk.predict()
    assert predicted_keys(addon, talking) == before != predicted_keys(addon, twin)


def test_the_sliders_of_an_unedited_performance_are_written_within_the_error(
    addon: Any, talking: bpy.types.Object
) -> None:
    bpy.context.scene.frame_end = 60
    bpy.ops.edtalk.predict()
    dense = np.array([[seen(talking, f, n) for n in ("mouth_01", "mouth_05")] for f in range(1, 61)])
    count = len(predicted_keys(addon, talking))
    bases = addon("scene.character").layout_of(talking).bases
    span = np.array([bases[i].maximum - bases[i].minimum for i in (0, 4)])
    talking.edtalk.writing.reduce = True
    for error in (1.0, 5.0):
        talking.edtalk.writing.error = error
        bpy.ops.edtalk.predict()
        few = np.array([[seen(talking, f, n) for n in ("mouth_01", "mouth_05")] for f in range(1, 61)])
        assert (np.abs(few - dense).max(axis=0) <= span * error / 100 + 1e-5).all()
        assert len(predicted_keys(addon, talking)) < count / 2
    assert [action.name for action in bpy.data.actions] == ["EDTalk face"], "no key was taken for an edit"


def test_a_reduced_performance_that_was_edited_is_noticed(addon: Any, talking: bpy.types.Object) -> None:
    talking.edtalk.writing.reduce = True
    bpy.ops.edtalk.predict()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    ob = bpy.data.objects["face"]
    bpy.ops.edtalk.predict()
    assert [action.name for action in bpy.data.actions] == ["EDTalk face"]
    curve = addon("scene.keys.layers").find_sheet(ob, "performance").find(JAW)
    curve.keyframe_points[0].handle_right[1] += 0.25  # a slope is an edit, too
    curve.update()
    bpy.ops.edtalk.predict()
    assert "EDTalk face (before predicting)" in bpy.data.actions


def test_a_part_that_is_predicted_anew_leaves_the_curve_beside_it(
    addon: Any, talking: bpy.types.Object
) -> None:
    bpy.context.scene.frame_end = 60
    talking.edtalk.writing.reduce = True
    bpy.ops.edtalk.predict()
    before = np.array([seen(talking, frame) for frame in range(1, 61)])
    talking.edtalk.voice_start = 20
    bpy.ops.edtalk.predict(first=20, last=40)
    after = np.array([seen(talking, frame) for frame in range(1, 61)])
    outside = np.r_[0:19, 40:60]
    np.testing.assert_allclose(after[outside], before[outside], atol=2e-3)


def test_the_curves_wear_the_colours_of_their_banks(addon: Any, talking: bpy.types.Object) -> None:
    curves = addon("scene.keys.layers").find_sheet(talking, "performance").curves()
    assert {curve.color_mode for curve in curves} == {"CUSTOM"}
    assert len({tuple(curve.color) for curve in curves}) == 36
    assert {curve.group.name for curve in curves} == {"Mouth", "Pose", "Expression"}


def test_an_override_gets_layers_of_its_own_that_are_kept(
    addon: Any, talking: bpy.types.Object, tmp_path: Path
) -> None:
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
    ob.edtalk.voice_start = 4
    bpy.ops.edtalk.predict()
    key(ob, 4, 1.5)
    values = course(ob)
    assert values[3] == pytest.approx(1.5)
    strips = [track.strips[0] for track in ob.animation_data.nla_tracks]
    assert [strip.action.is_editable for strip in strips] == [False, True]
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(shot))
    ob = next(one for one in bpy.data.objects if one.override_library)
    np.testing.assert_allclose(course(ob), values, atol=1e-6)


# --- written a little at a time --------------------------------------------------------------------------------------


@pytest.fixture
def writing(addon: Any, talking: bpy.types.Object) -> Any:
    """A new performance of the talking character on its way, most of its curves written; and the names of all actions
    before it."""
    curves, names = addon("core.weights.curves"), set(bpy.data.actions.keys())
    bpy.ops.ed.undo_push(message="before")
    keys = [curves.dense(FIRST, np.full(LAST, 0.7))] * 36
    steps = addon("scene.keys.layers").write_performance(talking, range(FIRST, LAST + 1), keys)
    for _ in range(400):
        next(steps)
    return steps, names


def test_until_a_performance_is_whole_the_old_one_plays(
    addon: Any, talking: bpy.types.Object, writing: Any
) -> None:
    steps, names = writing
    assert 0.7 not in course(talking).round(4)
    addon("core.tasks").run_to_end(steps)
    np.testing.assert_allclose(course(talking), 0.7, atol=1e-6)
    assert set(bpy.data.actions.keys()) == names, "it took the old one's place, and its name"


def test_of_a_performance_that_is_cancelled_while_it_is_written_nothing_stays(
    talking: bpy.types.Object, writing: Any
) -> None:
    steps, names = writing
    before = course(talking)
    steps.close()
    assert set(bpy.data.actions.keys()) == names
    np.testing.assert_array_equal(course(talking), before)


def test_a_performance_whose_track_is_deleted_while_it_is_written_gets_another(
    addon: Any, talking: bpy.types.Object, writing: Any
) -> None:
    steps, names = writing
    (track,) = talking.animation_data.nla_tracks
    talking.animation_data.nla_tracks.remove(track)
    addon("core.tasks").run_to_end(steps)
    np.testing.assert_allclose(course(talking), 0.7, atol=1e-6)
    assert set(bpy.data.actions.keys()) == names


def test_an_undo_while_a_performance_is_written_ends_that_with_a_word(addon: Any, writing: Any) -> None:
    steps, names = writing
    bpy.ops.ed.undo_push(message="the artist does something")
    bpy.ops.ed.undo()
    with pytest.raises(Exception, match="An undo changed"):
        addon("core.tasks").run_to_end(steps)
    assert set(bpy.data.actions.keys()) == names
    ob = bpy.data.objects["face"]
    assert 0.7 not in course(ob).round(4)
    bpy.context.view_layer.objects.active = ob
    bpy.ops.edtalk.predict()


def test_curves_of_the_artists_in_our_action_and_their_modifiers_survive_predicting(
    addon: Any, talking: bpy.types.Object
) -> None:
    sheet = addon("scene.keys.layers").find_sheet(talking, "performance")
    sheet.ensure("location", "mine").keyframe_points.insert(3, 2.5)
    sheet.find(JAW).modifiers.new("NOISE").strength = 0.0
    sheet.action.use_fake_user = True
    bpy.ops.edtalk.predict()
    sheet = addon("scene.keys.layers").find_sheet(talking, "performance")
    assert sheet.find("location").evaluate(3) == 2.5
    assert [modifier.type for modifier in sheet.find(JAW).modifiers] == ["NOISE"]
    assert sheet.action.use_fake_user


def test_ten_minutes_of_keys_are_written_a_call_to_blender_at_a_time(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves, actions = addon("core.weights.curves"), addon("scene.keys.actions")
    keys = curves.dense(FIRST, np.random.default_rng(0).normal(size=15_000))
    curve = addon("scene.keys.layers").find_sheet(talking, "performance").find(JAW)
    found = []
    steps = actions.write_steps(lambda: found.append(None) or curve, keys)
    counts = [len(found) for _ in steps]
    assert max(np.diff(counts)) <= 2, "found anew after each pause, and used for one call"
    assert len(counts) >= 3 * len(actions.KEY_PARTS)
    assert len(curve.keyframe_points) == 15_000


# --- another frame rate ----------------------------------------------------------------------------------------------


class Words:
    """A layout that notes what is written in it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.operators: list[str] = []

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: self

    def operator(self, name: str, **_: Any) -> None:
        self.operators.append(name)


def drift(addon: Any, ob: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> Words:
    """What the panel says of the frame rate."""
    words, panel = Words(), addon("ui.performance.retime_operator")
    monkeypatch.setattr(panel, "draw_words", lambda _layout, text, _icon: words.said.append(text))
    panel.draw_rate(words, ob, bpy.context.scene)
    return words


def test_another_frame_rate_is_told_of_and_keys_can_follow_it(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = bpy.context.scene
    assert drift(addon, talking, monkeypatch).said == []
    talking.edtalk.voice_start = 3
    key(talking, 9, 0.5)
    before, keys = course(talking), predicted_keys(addon, talking)
    old = scene.render.fps
    scene.render.fps = 2 * old
    told = drift(addon, talking, monkeypatch)
    assert told.said == [f"Predicted at {old} fps, the scene has {2 * old}: the lips drift"]
    assert told.operators == ["edtalk.predict", "edtalk.retime_keys"]
    bpy.ops.edtalk.retime_keys(frame_range=True)
    assert drift(addon, talking, monkeypatch).said == []
    assert scene.frame_end == 3 + 2 * (LAST - 3)
    for frame, value in zip(range(3, LAST + 1), before[2:], strict=True):
        assert seen(talking, 3 + 2 * (frame - 3)) == pytest.approx(value, abs=1e-4)
    moved = predicted_keys(addon, talking)
    assert [frame for frame, _ in moved] == pytest.approx([3 + 2 * (frame - 3) for frame, _ in keys])
    bpy.ops.edtalk.predict()
    assert "EDTalk face (before predicting)" not in bpy.data.actions, (
        "retimed keys are still the prediction's"
    )


def test_keys_move_by_an_offset(addon: Any, talking: bpy.types.Object) -> None:
    keys = predicted_keys(addon, talking)
    bpy.ops.edtalk.retime_keys(offset=2.5)
    assert [frame for frame, _ in predicted_keys(addon, talking)] == [frame + 2.5 for frame, _ in keys]
