"""The meaning of the 36 weights."""

from __future__ import annotations

import numpy as np
import pytest

from edtalk_server.synthetic.controls import (
    CONTROLS,
    EXPRESSION,
    MIRROR_LANDMARKS,
    MIRROR_PERMUTATION,
    MIRROR_SIGN,
    MOUTH,
    POSE,
    STARTER_LAYOUT,
    mirror,
    shape_map,
    weights_of,
)

NAMES = sorted({shape for control in CONTROLS for shape, _ in control.positive + control.negative})


def test_the_banks_have_the_papers_sizes() -> None:
    assert [part.stop - part.start for part in (MOUTH, POSE, EXPRESSION)] == [20, 6, 10]


def test_every_basis_explains_itself() -> None:
    for basis in STARTER_LAYOUT.bases:
        assert basis.name
        assert basis.description
        assert basis.minimum < basis.maximum


def test_mouth_and_expression_move_different_shapes() -> None:
    mapping = shape_map(NAMES)
    moved = (mapping.above != 0) | (mapping.below != 0)
    assert not (moved[MOUTH].any(axis=0) & moved[EXPRESSION].any(axis=0)).any()


def test_weights_come_back_from_shapes() -> None:
    mapping, random = shape_map(NAMES), np.random.default_rng(0)
    weights = random.uniform(0, 1, (5, 36)).astype(np.float32)
    signed = [
        STARTER_LAYOUT.index(name)
        for name in ("jaw_left", "mouth_left", "blink_left", "gaze_up", "stretch_side")
    ]
    weights[:, signed] *= random.choice([-1, 1], (5, len(signed)))
    back = mapping.to_weights(mapping.to_shapes(weights))
    shapeless = [*range(POSE.start, POSE.stop), STARTER_LAYOUT.index("gaze_left")]
    kept = np.delete(np.arange(36), shapeless)
    assert back[:, kept] == pytest.approx(weights[:, kept], abs=1e-5)


def test_mirroring_twice_changes_nothing() -> None:
    weights = np.random.default_rng(1).normal(size=(4, 36)).astype(np.float32)
    assert np.array_equal(mirror(mirror(weights)), weights)
    assert np.array_equal(MIRROR_PERMUTATION[MIRROR_PERMUTATION], np.arange(36))
    assert np.array_equal(MIRROR_SIGN[MIRROR_PERMUTATION], MIRROR_SIGN)
    assert np.array_equal(MIRROR_LANDMARKS[MIRROR_LANDMARKS], np.arange(68))


def test_a_left_wink_mirrors_to_a_right_one() -> None:
    assert np.array_equal(mirror(weights_of(blink_left=1, yaw=0.5)), weights_of(blink_right=1, yaw=-0.5))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="eyebrow"):
        weights_of(eyebrow=1)
