"""Smoothing over time: noise goes, quick movements stay."""

from __future__ import annotations

import numpy as np

from edtalk_server.motion.curves import smooth, without_noise

NOISE = 0.02 * np.random.default_rng(5).standard_normal((60, 1))


def test_noise_of_a_face_that_rests_is_smoothed_as_before() -> None:
    assert np.abs(without_noise(NOISE, 2.0, 0.05) - smooth(NOISE, 2.0)).max() < 1e-3


def test_a_blink_keeps_its_height_where_a_gaussian_leaves_two_thirds() -> None:
    blink = np.zeros((60, 1))
    blink[28:32, 0] = 0.7, 1.0, 1.0, 0.5
    assert smooth(blink, 1.8).max() < 0.7
    assert without_noise(blink + NOISE, 1.8, 0.05).max() > 0.95


def test_each_column_is_smoothed_by_itself() -> None:
    blink = np.zeros((60, 1))
    blink[30] = 1.0
    both = without_noise(np.hstack([blink, NOISE]), 2.0, 0.05)
    assert np.allclose(both[:, 1:], without_noise(NOISE, 2.0, 0.05))
