"""Further pictures of one person: an open mouth and closed lids come from the picture that shows them."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edtalk_server.arrays import Weights
from edtalk_server.engine import Engine, Source
from edtalk_server.engine.fake import FakeEngine
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.output_spec import FULL, OutputSpec
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import MOST_ALSO

PORTRAIT = Path(__file__).resolve().parents[3] / "edtalk_server" / "samples" / "portrait.png"
Picture = npt.NDArray[np.uint8]
MAGENTA = np.array([210, 60, 210], np.uint8)
"""A colour that the portrait has nowhere."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The shipped bundle."""
    return Engine.open(device="cpu")


@pytest.fixture(scope="module")
def portrait() -> Picture:
    """The sample portrait."""
    return load_portrait(PORTRAIT)


def moved(engine: Engine, source: Source, **change: float) -> Weights:
    row = source.weights.copy()
    for name, amount in change.items():
        row[engine.bundle.layout.index(name)] += amount
    return row[None]


@pytest.fixture(scope="module")
def shouting(engine: Engine, portrait: Picture) -> Picture:
    """The same person with an open mouth that is magenta inside, so that one sees where it goes."""
    source = engine.prepare(portrait)
    opened = moved(engine, source, jaw_open=0.8)
    picture = engine.render(source, opened)[0].copy()
    find = engine.bundle.face.cropped_landmarks_of  # type: ignore[attr-defined]
    points = engine._compute(lambda manager: find(manager.tensor(picture[None])))[0] * 256
    cv2.fillPoly(picture, [np.round(points[60:68]).astype(np.int32)], MAGENTA.tolist())
    return np.asarray(picture)


@pytest.fixture(scope="module")
def both(engine: Engine, portrait: Picture, shouting: Picture) -> Source:
    """The portrait with the picture of the open mouth."""
    return engine.prepare(portrait, also=[shouting])


def magenta(pictures: Picture) -> int:
    values = pictures.astype(int)
    return int(((values[..., 0] - values[..., 1] > 40) & (values[..., 2] - values[..., 1] > 40)).sum())


def test_the_inside_of_an_open_mouth_comes_from_the_picture_that_shows_it(
    engine: Engine, portrait: Picture, both: Source
) -> None:
    alone = engine.prepare(portrait)
    opened = moved(engine, alone, jaw_open=0.7)
    assert magenta(engine.render(alone, opened)) == 0
    assert magenta(engine.render(both, opened)) > 60
    assert "mouth" in both.gives[0]


def test_at_its_own_weights_the_portrait_is_itself(engine: Engine, portrait: Picture, both: Source) -> None:
    alone = engine.prepare(portrait)
    own = alone.weights[None]
    assert np.array_equal(engine.render(both, own), engine.render(alone, own))


def test_what_is_taken_grows_smoothly_with_the_movement(engine: Engine, both: Source) -> None:
    steps = np.linspace(0, 0.7, 15)
    rows = np.concatenate([moved(engine, both, jaw_open=float(step)) for step in steps])
    frames = engine.render(both, rows).astype(float)
    jumps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert jumps.max() < 3 * np.median(jumps) + 0.5


def test_larger_and_whole_pictures_take_it_too(engine: Engine, both: Source) -> None:
    opened = moved(engine, both, jaw_open=0.7)
    assert magenta(engine.render(both, opened, OutputSpec(framing=FULL))) > 60
    if len(both.sizes) > 1:
        assert magenta(engine.render(both, opened, OutputSpec(size=both.sizes[1]))) > 60


def test_the_key_tells_further_pictures_apart(engine: Engine, portrait: Picture, both: Source) -> None:
    alone = engine.prepare(portrait)
    again = engine.prepare(portrait, also=[portrait])
    assert len({alone.key, both.key, again.key}) == 3
    assert again.gives == ((),), "the same picture gives nothing"
    assert both.nbytes > alone.nbytes


def test_what_cannot_be_used_is_refused_in_words(engine: Engine, portrait: Picture) -> None:
    with pytest.raises(EDTalkError) as no_face:
        engine.prepare(portrait, also=[np.full((200, 200, 3), 90, np.uint8)])
    assert no_face.value.code is ErrorCode.NO_FACE and "further" in no_face.value.cause
    with pytest.raises(EDTalkError) as many:
        engine.prepare(portrait, also=[portrait] * (MOST_ALSO + 1))
    assert many.value.code is ErrorCode.UNSUPPORTED


def test_the_fake_engine_tells_them_apart_too(portrait: Picture) -> None:
    fake = FakeEngine()
    assert fake.prepare(portrait).key != fake.prepare(portrait, also=[portrait]).key


def test_helpers_draw_them_as_well(engine: Engine, both: Source) -> None:
    """Frames that other processes draw are the same, to the byte."""
    rows = np.concatenate([moved(engine, both, jaw_open=0.1 * step) for step in range(1, 7)])
    alone = engine.render(both, rows)
    helped = Engine.open(device="cpu")
    helped.start_helpers(1)
    end = time.monotonic() + 60
    while not helped.helper_pids and time.monotonic() < end:
        time.sleep(0.02)
    source = helped.prepare(both.portrait, both.crop, [both.also[0].portrait])
    assert np.array_equal(helped.render(source, rows), alone)
    assert helped.helper_pids, "the helper did not fail over it"
    helped.end_helpers()
