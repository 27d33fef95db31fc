"""What is said to be stale, without stepping the scene: the weights that are computed are those that Blender shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
import pytest

pytestmark = pytest.mark.versions

FRAMES = range(1, 31)
BLENDS = ("REPLACE", "COMBINE", "ADD", "SUBTRACT", "MULTIPLY")


def action(ob: bpy.types.Object, name: str, keys: dict[str, list[tuple[float, float]]]) -> bpy.types.Action:
    """An action with keys (frame, value) of some of the character's sliders; nothing plays it yet."""
    data = ob.animation_data or ob.animation_data_create()
    data.action = bpy.data.actions.new(name)
    for path, values in keys.items():
        owner, _, prop = path.rpartition(".")
        for frame, value in values:
            setattr(ob.path_resolve(owner), prop, value)
            ob.keyframe_insert(path, frame=frame)
    made, data.action = data.action, None
    return made


def strip(ob: bpy.types.Object, start: int, of: bpy.types.Action, **settings: Any) -> bpy.types.NlaStrip:
    """A strip of an action on a track of its own."""
    made = ob.animation_data.nla_tracks.new().strips.new(of.name, start, of)
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def shown(addon: Any, ob: bpy.types.Object) -> np.ndarray:
    """The weights as the evaluated scene has them, [frames, channels]."""
    ref = addon("scene.references").CharacterRef.of(ob, bpy.context.scene)
    *_, weights = addon("scene.keys.sampling").sample(ref, FRAMES)
    return np.asarray(weights)


def computed(addon: Any, ob: bpy.types.Object) -> np.ndarray:
    """The same as a signature computes them."""
    signature = addon("scene.keys.signature").Signature(ob)
    return np.array([signature._sliders.mix(signature._stack.at(frame)[0]) for frame in FRAMES])


@pytest.fixture
def moving(resting: bpy.types.Object) -> bpy.types.Object:
    """A character with a strip that moves the jaw, and an expression to mix in."""
    resting.edtalk.emotion.presets = '{"happy": {"expression_01": 1.0}, "neutral": {"expression_01": 0.1}}'
    jaw = action(resting, "jaw", {"edtalk.mouth_01": [(1, 0.2), (20, 0.9)], "edtalk.pose_01": [(1, 0.3)]})
    strip(resting, 5, jaw, extrapolation="HOLD_FORWARD")
    return resting


def nod(ob: bpy.types.Object) -> bpy.types.Action:
    return action(
        ob, "nod", {"edtalk.mouth_01": [(1, 0.4), (8, -0.3)], "edtalk.gain.mouth": [(1, 1.0), (8, 0.5)]}
    )


def blended(blend_type: str) -> Callable[[bpy.types.Object], object]:
    return lambda ob: strip(ob, 10, nod(ob), blend_type=blend_type, extrapolation="NOTHING")


def own(blend_type: str) -> Callable[[bpy.types.Object], None]:
    def assign(ob: bpy.types.Object) -> None:
        made, data = nod(ob), ob.animation_data
        data.action = made
        if bpy.app.version >= (4, 4, 0):
            data.action_slot = made.slots[0]
        data.action_blend_type = blend_type
        data.action_influence = 0.7

    return assign


def two_on_a_track(ob: bpy.types.Object) -> None:
    first = strip(ob, 8, nod(ob), extrapolation="HOLD")
    second = ob.animation_data.nla_tracks[-1].strips.new("again", 20, first.action)
    second.extrapolation, second.blend_type = "NOTHING", "ADD"


def repeated_and_reversed(ob: bpy.types.Object) -> None:
    made = strip(ob, 6, nod(ob), extrapolation="HOLD")
    made.repeat, made.use_reverse, made.scale = 2.0, True, 1.5


def ramped(ob: bpy.types.Object) -> None:
    made = strip(ob, 10, nod(ob), extrapolation="NOTHING")
    made.use_auto_blend = False
    made.blend_in, made.blend_out = 3.0, 2.0


def half_strong(ob: bpy.types.Object) -> None:
    made = strip(ob, 10, nod(ob), extrapolation="HOLD")
    made.use_animated_influence = True
    made.influence = 0.5


def nothing_below(ob: bpy.types.Object) -> None:
    own("COMBINE")(ob)
    ob.animation_data.use_nla = False


def soloed(ob: bpy.types.Object) -> None:
    own("COMBINE")(ob)
    ob.animation_data.nla_tracks[0].is_solo = True


def felt(ob: bpy.types.Object) -> None:
    strip(ob, 4, action(ob, "joy", {"edtalk.emotion.happy": [(1, 0.0), (9, 1.0)]}))
    ob.edtalk.emotion.strength = 0.8


CASES: dict[str, Callable[[bpy.types.Object], object]] = {
    "a strip alone": lambda ob: None,
    **{f"a strip above, {kind.lower()}": blended(kind) for kind in BLENDS},
    **{f"the own action, {kind.lower()}": own(kind) for kind in BLENDS},
    "the own action without tracks": nothing_below,
    "a track soloed": soloed,
    "two strips on a track": two_on_a_track,
    "repeated, reversed and stretched": repeated_and_reversed,
    "blended in and out": ramped,
    "half its influence": half_strong,
    "an emotion": felt,
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_computed_is_what_blender_shows(addon: Any, moving: bpy.types.Object, case: str) -> None:
    CASES[case](moving)
    np.testing.assert_allclose(computed(addon, moving), shown(addon, moving), atol=2e-5)


def test_one_key_on_top_makes_only_the_frames_stale_that_it_changes(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    scene, watch = bpy.context.scene, addon("ui.bake.watch").WATCH
    scene.frame_end = 40
    bpy.ops.edtalk.predict()
    bpy.ops.edtalk.bake()
    talking.edtalk.writing.reach = 4
    scene.frame_set(20)
    talking.edtalk.expression_01 += 0.5
    bpy.ops.edtalk.key_weights(bank="expression")
    watch.forget()
    watch.tick()
    while not watch.map.is_settled:
        assert watch.map.words == "Checking..."
        watch._next_look = 0.0
        watch.tick()
    assert watch.map.words == "7 of 40 frames to bake: 17–23"
    bpy.ops.edtalk.bake()
    assert renders == [40, 7], "exactly these"
