"""Following a face: estimates that are wrong are corrected until the drawn picture is the film's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edtalk_server.arrays import Weights
from edtalk_server.engine import Engine, Source
from edtalk_server.engine.following.face_shape import MEASURES
from edtalk_server.engine.following.follower import Follower
from edtalk_server.engine.following.reach import reach_of
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from shared_protocol.banks import numbered_layout

PORTRAIT = Path(__file__).resolve().parents[3] / "edtalk_server" / "samples" / "portrait.png"


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The shipped bundle."""
    return Engine.open(device="cpu")


@pytest.fixture(scope="module")
def source(engine: Engine) -> Source:
    """The sample portrait."""
    return engine.prepare(load_portrait(PORTRAIT))


@pytest.fixture(scope="module")
def follower(engine: Engine, source: Source) -> Follower:
    """Follows the sample portrait."""
    found = engine.follower(engine.render(source, source.weights[None])[0])
    assert found is not None
    return found


def moved(engine: Engine, source: Source, **change: float) -> Weights:
    row = source.weights.copy()
    for name, amount in change.items():
        row[engine.bundle.layout.index(name)] += amount
    return row


def test_what_was_read_too_small_is_corrected_by_redrawing(
    engine: Engine, source: Source, follower: Follower
) -> None:
    true = moved(engine, source, yaw=0.5, jaw_open=0.5, shift_x=0.3)
    read = moved(engine, source, yaw=0.3, jaw_open=0.35, shift_x=0.2)
    film = engine.render(source, true[None])[0]
    follower.forget()
    got = follower.follow(film, read)
    yaw = engine.bundle.layout.index("yaw")
    assert abs(got[yaw] - true[yaw]) < 0.4 * abs(read[yaw] - true[yaw])

    def misfit(row: Weights) -> float:
        drawn = engine.render(source, row[None])[0]
        return float(np.square(drawn.astype(float) - film).mean())

    assert misfit(got) < 0.7 * misfit(read)
    second = follower.follow(film, read)
    assert misfit(second) < misfit(got), "the next picture starts at the correction of the last one"


def test_right_weights_stay_and_gaze_is_never_corrected(
    engine: Engine, source: Source, follower: Follower
) -> None:
    follower.forget()
    film = engine.render(source, source.weights[None])[0]
    assert np.abs(follower.follow(film, source.weights) - source.weights).max() < 0.03
    other = moved(engine, source, gaze_left=0.5)
    got = follower.follow(engine.render(source, other[None])[0], source.weights)
    eyes = [i for i, b in enumerate(engine.bundle.layout.bases) if b.identifier.startswith("gaze")]
    assert np.array_equal(got[eyes], source.weights[eyes])


@pytest.mark.parametrize(
    "move", [{"blink_left": 0.9, "blink_right": 0.9}, {"blink_left": 0.7}, {"brow_raise": 0.8}]
)
def test_lids_and_brows_that_were_hardly_read_are_read_as_they_are_drawn(
    engine: Engine, source: Source, follower: Follower, move: dict[str, float]
) -> None:
    true = moved(engine, source, yaw=0.2, **move)
    read = moved(engine, source, yaw=0.2, **{name: 0.3 * by for name, by in move.items()})
    follower.forget()
    got = follower.follow(engine.render(source, true[None])[0], read)
    for name in ("blink_left", "blink_right", "brow_raise"):
        place = engine.bundle.layout.index(name)
        assert got[place] == pytest.approx(true[place], abs=0.25), name


def test_slopes_are_those_of_what_is_drawn(engine: Engine, source: Source, follower: Follower) -> None:
    artist, here = follower._artist, moved(engine, source, yaw=0.4, jaw_open=0.4).astype(np.float64)
    wanted = np.random.default_rng(0).normal(size=len(artist.draw(here)))
    seen, slopes = artist.draw_with_slopes(here, lambda _seen: wanted)
    np.testing.assert_allclose(seen, artist.draw(here), atol=1e-4)
    for name in ("yaw", "jaw_open", "shift_x"):
        step = np.zeros(len(here))
        step[engine.bundle.layout.index(name)] = 0.01
        measured = float((artist.draw(here + step) - artist.draw(here - step)) @ wanted) / 0.02
        assert slopes[engine.bundle.layout.index(name)] == pytest.approx(measured, rel=0.2, abs=3.0), name


def test_a_mouth_is_drawn_as_wide_as_it_is_seen(engine: Engine, source: Source, follower: Follower) -> None:
    true = moved(engine, source, pucker=0.8, shift_y=0.3)
    read = moved(engine, source, shift_y=0.3)
    follower.forget()
    picture = engine.render(source, true[None])[0]
    got = [follower.follow(picture, read) for _ in range(3)][-1]  # the first ones teach it how the cost bends

    def width(row: Weights) -> float:
        seen = follower._artist.draw(row.astype(np.float64))
        return float(seen[-len(MEASURES) + list(MEASURES).index("mouth_width")])

    done = (width(got) - width(read)) / (width(true) - width(read))
    assert 0.75 < done < 1.15, "a third of it where widths counted like other landmarks"


def test_no_correction_leaves_the_ranges(engine: Engine, source: Source, follower: Follower) -> None:
    layout = engine.bundle.layout
    wide = moved(engine, source, jaw_open=0.9)
    film = engine.render(source, moved(engine, source, jaw_open=1.5, yaw=1.0)[None])[0]
    got = follower.follow(film, wide)
    lowest, highest = (np.minimum(reach_of(layout)[0], wide), np.maximum(reach_of(layout)[1], wide))
    assert (got >= lowest - 1e-6).all() and (got <= highest + 1e-6).all()


def test_the_place_of_a_head_may_go_further_than_its_slider(engine: Engine) -> None:
    layout = engine.bundle.layout
    lowest, highest = reach_of(layout)
    for basis, low, high in zip(layout.bases, lowest, highest, strict=True):
        times = 2.0 if basis.identifier in ("shift_x", "shift_y", "scale") else 1.0
        assert (low, high) == (times * basis.minimum, times * basis.maximum), basis.identifier


def test_networks_that_draw_no_sketches_are_only_read() -> None:
    config = EDTalkConfig(size=64, style_dim=64, width_base=1024, width_max=32, enhancement_hidden=16)
    manifest = SimpleNamespace(size=64, sizes=(64,))
    bundle = SimpleNamespace(
        manifest=manifest, face=EDTalk(config).eval(), layout=numbered_layout(), landmarks=None, digest="tiny"
    )
    engine = Engine(bundle, torch.device("cpu"))  # type: ignore[arg-type]
    assert engine.follower(np.zeros((64, 64, 3), np.uint8)) is None
