"""The whole way with the model that ships: sample portrait and voice, real faces, real lips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "edtalk_server" / "samples"
BUNDLE = ROOT / "edtalk_server" / "bundles" / "starter" / "bundle.json"

pytestmark = pytest.mark.skipif(not BUNDLE.exists(), reason="the starter bundle is not in this checkout")


def picture(path: Path) -> np.ndarray:
    image = bpy.data.images.load(str(path))
    pixels = np.array(image.pixels[:], np.float32).reshape(image.size[1], image.size[0], -1)[..., :3]
    bpy.data.images.remove(image)
    return pixels


def test_a_portrait_speaks(addon: Any, real_server: None) -> None:
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 1, 50, 25
    bpy.ops.edtalk.new_character(filepath=str(SAMPLES / "portrait.png"))
    ob = bpy.context.object
    character, actions = addon("scene.character"), addon("scene.keys.actions")
    assert character.layout_of(ob) == addon("core.weights.layouts").starter_layout()
    bpy.ops.edtalk.choose_voice(filepath=str(SAMPLES / "voice.flac"))
    ob.edtalk.writing.reduce = False  # a key on each frame, so that keys number frames
    ob.edtalk.speech.blinks = ob.edtalk.speech.head = 0  # the mouth alone
    bpy.ops.edtalk.predict()
    jaw = actions.find(ob, "edtalk.mouth_01")
    values = np.array([key.co[1] for key in jaw.keyframe_points])
    assert np.ptp(values) > 0.1, "the jaw moves with the voice"
    closed, opened = int(values.argmin()) + 1, int(values.argmax()) + 1
    for frame in (closed, opened):
        bpy.ops.edtalk.bake(first=frame, last=frame)
    folder = Path(bpy.path.abspath(ob.edtalk.take))
    difference = np.abs(picture(folder / f"{closed:04d}.png") - picture(folder / f"{opened:04d}.png")).mean(
        axis=2
    )
    middle = difference.shape[0] // 2
    assert difference[:middle].mean() > 2 * difference[middle:].mean(), (
        "the lower half of the face is what moves"
    )


def test_a_voice_lets_the_face_blink_and_the_head_move(addon: Any, model_server: None) -> None:
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 1, 250, 25
    bpy.ops.edtalk.new_character(filepath=str(SAMPLES / "portrait.png"))
    ob = bpy.context.object
    ob.edtalk.writing.reduce = False
    bpy.ops.edtalk.choose_voice(filepath=str(SAMPLES / "voice.flac"))
    bpy.ops.edtalk.predict()
    lid, yaw = heights(addon, ob, "Blink Left"), heights(addon, ob, "Yaw")
    assert np.count_nonzero((lid[1:] > 0.5) & (lid[:-1] <= 0.5)) in {1, 2, 3, 4}, "15 a minute, in 10 seconds"
    assert np.ptp(yaw) > 0.05
    bpy.ops.edtalk.predict(first=100, last=180)
    np.testing.assert_allclose(heights(addon, ob, "Blink Left"), lid, atol=1e-5)
    np.testing.assert_allclose(heights(addon, ob, "Yaw"), yaw, atol=1e-5)
    ob.edtalk.speech.seed = 1
    bpy.ops.edtalk.predict()
    assert np.abs(heights(addon, ob, "Yaw") - yaw).max() > 0.05, "another seed, another take"
    ob.edtalk.speech.blinks = ob.edtalk.speech.head = 0
    bpy.ops.edtalk.predict()
    assert np.ptp(heights(addon, ob, "Yaw")) == np.ptp(heights(addon, ob, "Blink Left")) == 0


def heights(addon: Any, ob: bpy.types.Object, name: str) -> np.ndarray:
    """The keys' values of the weight of this name."""
    banks = addon("scene.character").banks_of(ob)
    channel = next(channel for bank in banks.values() for channel, label in bank if label == name)
    keys = addon("scene.keys.actions").find(ob, f"edtalk.{channel}").keyframe_points
    return np.array([key.co[1] for key in keys])


def test_a_rendered_performance_is_captured_from_its_movie(
    addon: Any, model_server: None, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 1, 24, 25
    bpy.ops.edtalk.new_character(filepath=str(SAMPLES / "portrait.png"))
    ob, character = bpy.context.object, addon("scene.character")
    ob.edtalk.writing.reduce = False
    jaw = "edtalk.mouth_01"
    swing = 0.4 - 0.4 * np.cos(np.arange(24) / 24 * 4 * np.pi)
    for i, value in enumerate(swing):
        ob.edtalk.mouth_01 = value
        ob.keyframe_insert(jaw, frame=i + 1)
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.export_movie(filepath=str(tmp_path / "driver.mp4"))
    ob.animation_data_clear()
    character.write_weights(ob, character.rest_weights(ob))
    bpy.ops.edtalk.capture(filepath=str(tmp_path / "driver.mp4"), pose=False)
    actions = addon("scene.keys.actions")
    keys = actions.find(ob, jaw).keyframe_points
    assert [key.co[0] for key in keys] == list(range(1, 25))
    found = np.array([key.co[1] for key in keys])
    assert np.corrcoef(found, swing)[0, 1] > 0.8, found
    assert actions.find(ob, "edtalk.pose_01") is None, "only the chosen banks are written"
