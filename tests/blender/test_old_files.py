"""A .blend and a take of an earlier version: they open, show the same performance, and need not be baked again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

pytestmark = pytest.mark.versions
OLD = Path(__file__).resolve().parents[1] / "data" / "version_0_1"
FRAMES = 12


@pytest.fixture
def opened(addon: Any, server: Any, tmp_path: Path) -> bpy.types.Object:
    """The character of version 0.1, in a copy of its folder."""
    folder = tmp_path / "old"
    shutil.copytree(OLD, folder)
    bpy.ops.wm.open_mainfile(filepath=str(folder / "shot.blend"))
    return bpy.data.objects["Anna"]


@pytest.fixture
def facts() -> dict[str, Any]:
    """What version 0.1 rendered."""
    return dict(json.loads((OLD / "facts.json").read_text("utf-8")))


def rendered_weights(addon: Any, ob: bpy.types.Object, frame: int) -> np.ndarray:
    bpy.context.scene.frame_set(frame)
    evaluated = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.asarray(addon("scene.character").final_weights(evaluated))


def test_every_frame_has_the_same_weights(
    addon: Any, opened: bpy.types.Object, facts: dict[str, Any]
) -> None:
    for frame in range(1, FRAMES + 1):
        expected = facts["frames"][str(frame)]
        np.testing.assert_allclose(rendered_weights(addon, opened, frame), expected, atol=1e-6)


def test_tracks_take_and_settings_are_kept(opened: bpy.types.Object, facts: dict[str, Any]) -> None:
    assert [track.name for track in opened.animation_data.nla_tracks] == facts["tracks"]
    assert opened.edtalk.take == facts["take"]
    assert opened.edtalk.gain.mouth == pytest.approx(0.9)
    assert opened.edtalk.speech.seed == 7
    assert opened.edtalk.emotion.happy == pytest.approx(0.25)


def test_baking_renders_no_frame_again(addon: Any, opened: bpy.types.Object, renders: list[int]) -> None:
    assert bpy.ops.edtalk.bake() == {"FINISHED"}
    assert renders == []


def test_an_edit_of_today_is_noticed(addon: Any, opened: bpy.types.Object, renders: list[int]) -> None:
    bpy.context.scene.frame_set(5)
    opened.edtalk.mouth_01 = 0.9
    opened.keyframe_insert(
        "edtalk.mouth_01", frame=5
    )  # the only key of its curve: it holds over the whole shot
    bpy.ops.edtalk.bake()
    assert renders == [FRAMES]
