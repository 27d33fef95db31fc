"""*Import Performance*: a file of weights becomes the character's performance, as a prediction does."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

FRAMES = 8


def refused(operator: Any, **options: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        operator(**options)
    return str(caught.value)


@pytest.fixture
def files(addon: Any) -> Any:
    from shared_protocol import weights_file

    return weights_file


def written(files: Any, ob: bpy.types.Object, addon: Any, path: Path, fps: int = 24, **extras: Any) -> Path:
    """A file in which the first weight is the frame's number / 10, and the last one 0.25."""
    layout = addon("scene.character").layout_of(ob)
    names = [layout.bases[0].identifier, layout.bases[-1].identifier]
    weights = np.stack([np.arange(FRAMES) / 10, np.full(FRAMES, 0.25)], axis=1).astype(np.float32)
    path.write_bytes(
        (files.as_csv if path.suffix == ".csv" else files.as_npz)(weights, names, Fraction(fps), extras)
    )
    return path


def evaluated(addon: Any, ob: bpy.types.Object, frame: int) -> Any:
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    return addon("scene.character").read_weights(ob.evaluated_get(graph))


@pytest.mark.versions
@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_weights_are_written_at_frame_1_unselected_and_without_a_server(
    addon: Any, resting: Any, files: Any, tmp_path: Path, kind: str
) -> None:
    addon.session.close()
    bpy.context.scene.frame_current = 5
    path = written(files, resting, addon, tmp_path / f"weights.{kind}")
    assert bpy.ops.edtalk.import_performance(filepath=str(path)) == {"FINISHED"}
    for frame in (1, 4, 8):
        weights = evaluated(addon, resting, frame)
        assert weights[[0, -1]] == pytest.approx([(frame - 1) / 10, 0.25], abs=1e-4)
    layers = addon("scene.keys.layers")
    sheet = layers.find_sheet(resting, addon("scene.keys.actions").PERFORMANCE)
    assert not any(point.select_control_point for curve in sheet.curves() for point in curve.keyframe_points)
    assert resting.edtalk.show == "LIVE"


def test_they_may_begin_at_the_current_frame_and_keep_their_seconds(
    addon: Any, resting: Any, files: Any, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    scene.frame_current, scene.render.fps = 5, 24
    path = written(files, resting, addon, tmp_path / "weights.npz", fps=12)
    bpy.ops.edtalk.import_performance(filepath=str(path), at="CURRENT")
    assert evaluated(addon, resting, 5 + 2 * 3)[0] == pytest.approx(0.3, abs=1e-4), "twice as many frames"


def test_emotions_of_the_file_go_to_their_track(addon: Any, resting: Any, files: Any, tmp_path: Path) -> None:
    felt = np.zeros((FRAMES, 8), np.float32)
    felt[:, 1] = 0.5
    path = written(files, resting, addon, tmp_path / "weights.npz", emotions=felt)
    bpy.ops.edtalk.import_performance(filepath=str(path))
    bpy.context.scene.frame_set(3)
    graph = bpy.context.evaluated_depsgraph_get()
    assert resting.evaluated_get(graph).edtalk.emotion.sad == pytest.approx(0.5, abs=1e-4)


def test_weights_of_another_bundle_and_missing_files_change_nothing(
    addon: Any, resting: Any, files: Any, tmp_path: Path
) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(files.as_npz(np.zeros((3, 1), np.float32), ["elsewhere"], Fraction(24)))
    assert "other names" in refused(bpy.ops.edtalk.import_performance, filepath=str(path))
    assert "is not there" in refused(bpy.ops.edtalk.import_performance, filepath=str(tmp_path / "gone.npz"))
    assert resting.animation_data is None or not resting.animation_data.nla_tracks
