"""Quasi-Newton steps within limits, from a curvature that may be wrong."""

from __future__ import annotations

import numpy as np

from edtalk_server.arrays import Doubles
from edtalk_server.engine.following.descent import Limits, Place, descend

BENT = np.array([[8.0, 3.0, 0.0], [3.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
LOWEST = np.array([0.5, 1.5, -1.0])
EVERYWHERE = Limits(np.full(3, -9.0), np.full(3, 9.0), np.ones(3, bool))


def look(weights: Doubles) -> Place[None]:
    """A bowl with its lowest place at `LOWEST`."""
    away = weights - LOWEST
    return Place(weights, float(away @ BENT @ away) / 2, BENT @ away, None)


def test_a_known_bowl_takes_few_looks() -> None:
    best, _ = descend(look, look(np.zeros(3)), BENT, EVERYWHERE, steps=3)
    np.testing.assert_allclose(best.weights, LOWEST, atol=1e-3)


def test_a_curvature_that_is_wrong_is_learned_and_helps_the_next_search() -> None:
    start = look(np.zeros(3))
    first, learned = descend(look, start, np.eye(3), EVERYWHERE, steps=8)
    assert first.cost < 0.01 * start.cost
    assert (np.linalg.eigvalsh(learned) > 0).all()
    again, _ = descend(look, start, learned, EVERYWHERE, steps=3)
    afresh, _ = descend(look, start, np.eye(3), EVERYWHERE, steps=3)
    assert again.cost < 0.5 * afresh.cost


def test_steps_that_make_things_worse_are_never_taken() -> None:
    start = look(np.zeros(3))
    best, _ = descend(look, start, 1e-3 * np.eye(3), EVERYWHERE, steps=1)
    assert best is start


def test_limits_hold_and_weights_that_are_not_free_stay() -> None:
    limits = Limits(np.full(3, -0.2), np.full(3, 0.3), np.array([True, True, False]))
    best, _ = descend(look, look(np.zeros(3)), BENT, limits, steps=6)
    np.testing.assert_allclose(best.weights, [0.3, 0.3, 0.0], atol=1e-9)
    assert (best.gradient[:2] < 0).all(), "the cost falls beyond the limits"
