"""Lids and brows of a film: measured on landmarks, read as the inverse of what is drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from edtalk_server.arrays import Doubles
from edtalk_server.engine.following.face_shape import MEASURES, shape_of
from edtalk_server.engine.following.lids_and_brows import STEPS, LidsAndBrows, Upper
from shared_protocol.banks import Bank, BankLayout, Basis, numbered_layout

NAMES = ("blink_left", "blink_right", "brow_raise", "brow_furrow")
LAYOUT = BankLayout(
    tuple(
        Basis(name, name, Bank.EXPRESSION, -1.0 if name.startswith("blink") else 0.0, 1.0, "")
        for name in NAMES
    )
)
PLACE = {name: place for place, name in enumerate(MEASURES)}


def drawn(weights: Doubles) -> Doubles:
    """The shape of a face whose lids are open by .36, .1 when closed, and whose detector sees both as lower."""
    left, right, up, furrow = weights
    shape = np.zeros(len(MEASURES))
    shape[PLACE["left_lids"]] = 0.36 - 0.26 * left**2 * np.sign(left) - 0.04 * up
    shape[PLACE["right_lids"]] = 0.28 - 0.2 * right - 0.04 * up
    for name, inner in (("right_brow_outer", 0.5), ("right_brow_inner", 1.0)):
        for side in (name, name.replace("right", "left")):
            shape[PLACE[side]] = 0.24 + 0.08 * up - 0.05 * inner * furrow
    shape[PLACE["brows_apart"]] = 0.3 - 0.05 * furrow
    return shape


@pytest.mark.parametrize(
    ("true", "read"),
    [
        ((0.9, 0.9, 0.0, 0.0), (0.4, 0.4, 0.0, 0.0)),
        ((0.0, 0.8, 0.7, 0.0), (0.1, 0.3, 0.2, 0.0)),
        ((0.4, 0.4, 0.0, 0.8), (0.1, 0.1, 0.0, 0.2)),
    ],
)
def test_what_was_read_too_small_is_read_as_it_is_drawn(
    true: tuple[float, ...], read: tuple[float, ...]
) -> None:
    upper = LidsAndBrows(drawn, np.zeros(4), LAYOUT)
    got = upper.correct(Upper(np.array(read), drawn(np.array(read))), drawn(np.array(true)), np.array(read))
    assert np.abs(got.weights - true).max() < 0.12
    assert np.array_equal(got.shape, drawn(got.weights)), "the shape returned is that of the weights"


def test_brows_that_rise_unevenly_are_not_read_as_worried() -> None:
    upper, rest = LidsAndBrows(drawn, np.zeros(4), LAYOUT), np.zeros(4)
    uneven = drawn(np.array([0.0, 0.0, 0.6, 0.0]))
    uneven[PLACE["right_brow_outer"]] += 0.02
    uneven[PLACE["brows_apart"]] -= 0.02
    got = upper.correct(Upper(rest, drawn(rest)), uneven, rest).weights
    assert got[2] == pytest.approx(0.6, abs=0.15)
    assert got[3] == 0.0, "a furrow beside it would turn the face sad"


def test_each_correction_draws_once_and_stays_in_range() -> None:
    drawings: list[Doubles] = []

    def draw(weights: Doubles) -> Doubles:
        drawings.append(weights)
        return drawn(weights)

    upper, rest = LidsAndBrows(draw, np.zeros(4), LAYOUT), np.zeros(4)
    before = len(drawings)
    beyond = drawn(rest) - 0.5
    got = upper.correct(Upper(rest, drawn(rest)), beyond, rest)
    assert len(drawings) == before + STEPS
    assert (got.weights <= 1.0).all() and (got.weights[2:] >= 0.0).all()


def test_an_eye_whose_opening_hardly_changes_is_read_by_the_reader() -> None:
    def blind(weights: Doubles) -> Doubles:
        return np.asarray(drawn(np.concatenate([0.02 * weights[:2], weights[2:]])))

    upper, read = LidsAndBrows(blind, np.zeros(4), LAYOUT), np.array([0.3, 0.3, 0.0, 0.0])
    noisy = blind(read) + 0.01 * (np.arange(len(MEASURES)) < 2)
    assert np.abs(upper.correct(Upper(read, blind(read)), noisy, read).weights - read)[:2].max() < 0.1


def test_a_layout_without_names_is_left_alone() -> None:
    upper = LidsAndBrows(lambda weights: np.zeros(len(MEASURES)), np.zeros(36), numbered_layout())
    start = Upper(np.zeros(36), np.zeros(len(MEASURES)))
    assert upper.correct(start, np.ones(len(MEASURES)), np.zeros(36)) is start


def face() -> npt.NDArray[np.float32]:
    """Some landmarks [68, 2] with eyes, brows and a mouth where they belong."""
    rng = np.random.default_rng(3)
    points = rng.uniform(0.3, 0.7, (68, 2)).astype(np.float32)
    points[36:42] = [(0.30, 0.4), (0.33, 0.38), (0.37, 0.38), (0.4, 0.4), (0.37, 0.42), (0.33, 0.42)]
    points[42:48] = points[36:42] + np.array([0.3, 0.0])
    points[17:22, 1] = points[22:27, 1] = 0.32
    return points


def test_a_shape_does_not_depend_on_place_size_and_tilt() -> None:
    points, turn = face(), np.float32(0.3)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    both = np.stack([points, 0.8 * points @ spin.T + [0.1, 0.05]]).astype(np.float32)
    first, second = shape_of(torch.from_numpy(both)).numpy()
    assert first == pytest.approx(second, abs=1e-5)
    assert first[PLACE["right_lids"]] == pytest.approx(0.4), "4 of 10 hundredths"
    assert first[PLACE["left_brow_inner"]] == pytest.approx(0.08 / 0.4)
