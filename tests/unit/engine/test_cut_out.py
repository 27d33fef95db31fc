"""A portrait that is transparent in parts stays so in full frames, and no grey gets into its edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edtalk_server.engine.fake import FakeEngine
from edtalk_server.media.faces.paste import Plate
from edtalk_server.media.faces.portrait import cut, over_grey
from edtalk_server.media.output_spec import OutputSpec, linear_light_of_bytes
from shared_protocol.messages import Crop

CROP = Crop(60.0, 50.0, 40.0)
CUT_OUT = OutputSpec("full", cut_out=True)


@pytest.fixture(scope="module")
def portrait() -> npt.NDArray[np.uint8]:
    """A red disc with a soft edge; its hidden colours are green."""
    y, x = np.mgrid[0:100, 0:120]
    distance = np.hypot(x - 60, y - 50)
    alpha = np.clip((45 - distance) * 40, 0, 255).astype(np.uint8)
    colours = np.where(alpha[..., None] > 0, np.uint8([200, 60, 40]), np.uint8([0, 255, 0]))
    return np.dstack([colours, alpha])


def frame(portrait: npt.NDArray[np.uint8], output: OutputSpec, shift: float = 0.0) -> npt.NDArray[np.generic]:
    engine = FakeEngine()
    source = engine.prepare(portrait, CROP)
    return next(iter(engine.stream(source, source.weights[None] + np.float32(shift), output)))[0]


def test_a_full_frame_has_the_portraits_own_alpha_and_colours(portrait: npt.NDArray[np.uint8]) -> None:
    face = cut(over_grey(portrait), CROP, 160).astype(np.float32)
    plate = Plate.make(portrait, CROP, face)
    rest, brighter = plate.picture(face, CUT_OUT), plate.picture(face + 30, CUT_OUT)
    for picture in (rest, brighter):
        assert picture.shape == portrait.shape
        assert np.array_equal(picture[..., 3], portrait[..., 3])
    assert np.abs(rest.astype(int) - portrait).max() <= 1, "at rest the frame is the portrait"
    assert picture[50, 60, :3].tolist() == [230, 90, 70], "and the face's changes are added"


def test_an_engine_draws_the_same_change_as_over_grey(portrait: npt.NDArray[np.uint8]) -> None:
    drawn = frame(portrait, CUT_OUT, 0.4)
    assert np.array_equal(drawn[..., 3], portrait[..., 3])
    change = frame(portrait, OutputSpec("full"), 0.4).astype(int) - over_grey(portrait)
    seen = portrait[..., 3] == 255
    assert np.abs(drawn[seen][:, :3].astype(int) - portrait[seen][:, :3] - change[seen]).max() <= 1


def test_the_faces_matte_lies_inside_what_the_portrait_covers(portrait: npt.NDArray[np.uint8]) -> None:
    picture = frame(portrait, OutputSpec("full", alpha=True, cut_out=True))
    assert (picture[..., 3] <= portrait[..., 3]).all()
    assert picture[50, 60, 3] == 255


def test_deep_frames_have_it_too(portrait: npt.NDArray[np.uint8]) -> None:
    picture = frame(portrait, OutputSpec("full", deep=True, cut_out=True))
    assert picture.dtype == np.float16
    assert np.abs(picture[..., 3] - portrait[..., 3] / 255).max() < 1e-3
    outside = np.s_[:25, :30]
    assert np.array_equal(picture[outside][..., :3], linear_light_of_bytes(portrait[outside][..., :3]))


def test_who_asks_for_nothing_gets_grey_as_before(portrait: npt.NDArray[np.uint8]) -> None:
    for output in (OutputSpec("full"), OutputSpec("full", alpha=True), OutputSpec()):
        cut_out, flat = frame(portrait, output), frame(over_grey(portrait), output)
        assert np.array_equal(cut_out, flat)


def test_a_plain_portrait_has_no_alpha(portrait: npt.NDArray[np.uint8]) -> None:
    assert frame(over_grey(portrait), CUT_OUT).shape == (100, 120, 3)


def test_scaling_down_lets_no_hidden_colour_in(portrait: npt.NDArray[np.uint8]) -> None:
    small = frame(portrait, OutputSpec("full", cut_out=True, largest=40))
    seen = small[..., 3] > 8
    assert small.shape == (33, 40, 4)
    assert small[seen][:, 1].max() <= 75, "the green behind transparent pixels"
