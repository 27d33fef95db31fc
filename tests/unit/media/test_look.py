"""Pictures for compositors: EXR in linear light, straight alpha, and the mark of synthetic media in each."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from edtalk_server.media.output_spec import (
    DEFAULT_OUTPUT,
    OutputSpec,
    face_matte,
    linear_light,
    linear_light_of_bytes,
)
from edtalk_server.media.video.exr import encode_exr
from edtalk_server.media.video.sequence import SequenceWriter, encode_png


def levels(seed: int = 0, size: int = 40) -> np.ndarray:
    """A picture between 8-bit steps."""
    return np.random.default_rng(seed).uniform(0, 255, (size, size, 3)).astype(np.float32)


def read_exr(data: bytes) -> tuple[dict[str, object], np.ndarray]:
    """Header and pixels [H, W, C]."""
    file = OpenEXR.File(io.BytesIO(data))
    (channel,) = file.channels().values()
    return file.header(), channel.pixels


def test_srgb_is_decoded_as_its_standard_says() -> None:
    light = linear_light(np.array([0, 10.31475, 127.5, 188, 255], np.float32))
    expected = [0, 0.0031308, 0.21404, 0.50289, 1]
    assert np.allclose(light, expected, rtol=1e-3)
    assert np.array_equal(linear_light_of_bytes(np.arange(256, dtype=np.uint8)), linear_light(np.arange(256)))


def test_deep_pictures_keep_what_8_bits_round_away() -> None:
    smooth = np.linspace(100, 110, 64 * 64, dtype=np.float32).reshape(64, 64, 1).repeat(3, axis=2)
    matte = face_matte(64)
    assert len(np.unique(DEFAULT_OUTPUT.finish(smooth, matte))) == 11
    assert len(np.unique(OutputSpec(deep=True).finish(smooth, matte))) > 40


def test_an_exr_holds_the_same_picture_in_linear_light_as_half_floats() -> None:
    for look, channels in ((OutputSpec(deep=True), 3), (OutputSpec(deep=True, alpha=True), 4)):
        picture = look.finish(levels(), face_matte(40))
        _, pixels = read_exr(encode_exr(picture))
        assert (pixels.dtype, pixels.shape) == (np.float16, (40, 40, channels))
        assert np.array_equal(pixels, picture)


def test_an_exr_says_in_its_header_that_it_is_synthetic() -> None:
    header, _ = read_exr(encode_exr(OutputSpec(deep=True).finish(levels(), face_matte(40))))
    assert "Synthetic media" in str(header["comments"])
    assert str(header["software"]).startswith("EDTalk")
    assert "trainedAlgorithmicMedia" in str(header["digitalSourceType"])
    assert "trainedAlgorithmicMedia" in str(header["xmp"])


def test_what_is_no_deep_picture_is_no_exr() -> None:
    for wrong in (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float16)):
        with pytest.raises(ValueError, match="half-float"):
            encode_exr(wrong)  # type: ignore[arg-type]


def test_alpha_is_straight_and_the_colours_are_those_without_it() -> None:
    matte = face_matte(40)
    for deep in (False, True):
        plain, cut = (OutputSpec(alpha=alpha, deep=deep).finish(levels(), matte) for alpha in (False, True))
        assert np.array_equal(cut[..., :3], plain)
        top = 1.0 if deep else 255
        assert cut[..., 3].max() == top and cut[..., 3].min() < 0.01 * top


def test_a_png_with_alpha_is_rgba_and_marked() -> None:
    picture = OutputSpec(alpha=True).finish(levels(), face_matte(40))
    file = Image.open(io.BytesIO(encode_png(picture)))
    assert file.mode == "RGBA"
    assert np.array_equal(np.asarray(file), picture)
    assert "Synthetic media" in file.info["Comment"]


def test_the_matte_is_whole_on_the_face_and_falls_softly_to_nothing_at_the_edge() -> None:
    matte = face_matte(256)
    assert (matte[40:232, 40:216] == 1.0).all(), "brows to open jaw, ear to ear"
    edges = (matte[0], matte[-1], matte[:, 0], matte[:, -1])
    assert max(float(edge.max()) for edge in edges) < 0.01
    steps = [np.abs(np.diff(matte, axis=axis)).max() for axis in (0, 1)]
    assert max(steps) < 0.1, "no hard edge"
    assert np.allclose(matte, matte[:, ::-1], atol=1e-6)


def test_a_sequence_named_exr_holds_exr_files(tmp_path: Path) -> None:
    picture = OutputSpec(deep=True, alpha=True).finish(levels(), face_matte(40))
    with SequenceWriter(tmp_path / "%03d.exr", first=7) as writer:
        writer.write(picture)
    assert np.array_equal(read_exr((tmp_path / "007.exr").read_bytes())[1], picture)
