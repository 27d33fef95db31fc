"""What an animator does to the layers in the NLA editor: the face follows at once."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import pytest

PEAK = 6
"""A frame at which the voice is loud."""


def shown(addon: Any, ob: bpy.types.Object, frame: int | None = None) -> np.ndarray:
    """The weights that are shown, float32 [channels]: evaluated, without stepping the frame unless one is given."""
    if frame is not None:
        bpy.context.scene.frame_set(frame)
    bpy.context.view_layer.update()
    return addon("scene.character").final_weights(ob.evaluated_get(bpy.context.evaluated_depsgraph_get()))


def strip_of(ob: bpy.types.Object) -> bpy.types.NlaStrip:
    return next(track.strips[0] for track in ob.animation_data.nla_tracks if track.strips)


def test_a_track_that_is_unmuted_is_seen_at_once(addon: Any, talking: bpy.types.Object) -> None:
    loud, quiet = shown(addon, talking, PEAK), shown(addon, talking, 1)
    track = talking.animation_data.nla_tracks[0]
    track.mute = True
    shown(addon, talking, PEAK)
    track.mute = False
    assert shown(addon, talking) == pytest.approx(loud)
    assert np.abs(loud - quiet).max() > 0.05


def test_a_strip_that_is_stretched_or_moved_takes_its_keys_along(
    addon: Any, talking: bpy.types.Object
) -> None:
    before, strip = shown(addon, talking, PEAK), strip_of(talking)
    start = strip.frame_start
    strip.scale = 2.0
    stretched = round(start + 2 * (PEAK - start))
    assert shown(addon, talking, stretched) == pytest.approx(before, abs=1e-4)
    strip.scale = 1.0
    strip.frame_start, strip.frame_end = start + 3, strip.frame_end + 3
    assert shown(addon, talking, PEAK + 3) == pytest.approx(before, abs=1e-4)


def test_stretching_makes_baked_frames_stale(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    bpy.ops.edtalk.bake()
    strip_of(talking).scale = 1.5
    renders.clear()
    bpy.ops.edtalk.bake()
    assert sum(renders) > 0, "other frames than before are shown"


def test_tweaks_that_are_pushed_down_stay_what_they_were(addon: Any, talking: bpy.types.Object) -> None:
    bpy.context.scene.frame_set(PEAK)
    talking.edtalk.mouth_02 = 0.8
    bpy.ops.edtalk.key_weights(bank="mouth")
    before, data = shown(addon, talking, PEAK), talking.animation_data
    action, blend = data.action, data.action_blend_type
    track = data.nla_tracks.new()
    strip = track.strips.new(action.name, round(action.frame_range[0]), action)
    strip.blend_type, strip.extrapolation = blend, "HOLD"
    if hasattr(strip, "action_slot") and strip.action_slot is None:
        strip.action_slot = action.slots[0]
    data.action = None
    assert shown(addon, talking, PEAK) == pytest.approx(before, abs=1e-4)
    bpy.ops.edtalk.predict()
    assert track.strips[0].action == action, "predicting again leaves it alone"


def test_a_character_in_two_scenes_shows_the_frame_of_each(addon: Any, talking: bpy.types.Object) -> None:
    other = bpy.data.scenes.new("Other")
    other.collection.objects.link(talking)
    bpy.context.scene.frame_set(PEAK)
    other.frame_set(1)
    here = addon("scene.character").final_weights(talking.evaluated_get(bpy.context.view_layer.depsgraph))
    there = addon("scene.character").final_weights(talking.evaluated_get(other.view_layers[0].depsgraph))
    assert np.abs(here - there).max() > 0.05
