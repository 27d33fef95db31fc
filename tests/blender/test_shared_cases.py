"""Files as phones, recorders and cut-off writers leave them, through the add-on: the small cases of `../shared`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "files"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside this checkout")

VOICES = {
    "phone_memo.m4a": "voice.wav",
    "streamed.flac": "voice.wav",
    "opposite_channels.wav": "voice.wav",
    "two_tags.mp3": "plain.mp3",
}
"""Each and the plain file that it sounds like."""
PICTURES = ("iphone.heic", "rendered.exr", "long_text.png", "adobe_rgb.png", "cutout.png")


@pytest.fixture
def talker(addon: Any, server: Any, portrait: Path) -> bpy.types.Object:
    """A character without a voice, in a scene of a second."""
    bpy.context.scene.frame_start, bpy.context.scene.frame_end, bpy.context.scene.render.fps = 1, 25, 25
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    bpy.context.object.edtalk.writing.reduce = False
    return bpy.context.object


def said(addon: Any, ob: bpy.types.Object, name: str) -> np.ndarray:
    """How far the mouth opens at each frame when this file speaks."""
    bpy.ops.edtalk.choose_voice(filepath=str(CASES / name), add_strip=False)
    bpy.ops.edtalk.predict(first=1, last=25)
    keys = addon("scene.keys.actions").find(ob, "edtalk.mouth_01").keyframe_points
    return np.array([key.co[1] for key in keys])


def test_voices_are_those_of_their_plain_files(addon: Any, talker: bpy.types.Object) -> None:
    heard = {name: said(addon, talker, name) for name in {*VOICES, *VOICES.values()}}
    for name, plain in VOICES.items():
        assert np.ptp(heard[plain]) > 0.005
        assert heard[name] == pytest.approx(heard[plain], abs=0.02), name


def test_a_recorders_tracks_speak_and_become_a_movie(addon: Any, talker: bpy.types.Object) -> None:
    assert np.ptp(said(addon, talker, "recorder_10_tracks.wav")) > 0.005
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.export_movie(filepath="//recorder.mp4")
    assert Path(bpy.path.abspath("//recorder.mp4")).stat().st_size > 1000


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_become_characters(addon: Any, server: Any, name: str) -> None:
    bpy.ops.edtalk.new_character(filepath=str(CASES / name))
    ob = bpy.context.object
    ob.edtalk.bake.framing = "FULL"
    bpy.ops.edtalk.bake(first=1, last=1)
    frame = bpy.data.images.load(str(Path(bpy.path.abspath(ob.edtalk.take)) / "0001.png"))
    pixels = np.array(frame.pixels[:]).reshape(frame.size[1], frame.size[0], -1)
    assert (pixels[..., 3].min() == 0) == (name == "cutout.png"), "a cut-out alone stays transparent"
    assert pixels[..., :3].std() > 0.05


@pytest.mark.parametrize("name", ["stalled_camera.mp4", "one_picture.mp4"])
def test_videos_of_few_pictures_are_captured(addon: Any, talker: bpy.types.Object, name: str) -> None:
    bpy.ops.edtalk.capture(filepath=str(CASES / name), start=1.0)
    assert addon("scene.keys.actions").find(talker, "edtalk.mouth_01") is not None
