"""Weights over time: smooth curves through rows of numbers, and the limits that weights keep to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Weights
from shared_protocol.banks import Basis


def interpolate(rows: Weights, positions: Doubles) -> Weights:
    """Return rows at fractional `positions` (1 <= p < len(rows) - 2) by a Catmull-Rom spline, exact at whole positions.

    A straight line would flatten lip closures, which last two or three frames. The spline stays within the range of the
    four rows around each position.
    """
    index = np.floor(positions).astype(int)
    t = (positions - index)[:, None]
    a, b, c, d = (rows[index + offset].astype(np.float64) for offset in (-1, 0, 1, 2))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    around = np.stack([a, b, c, d])
    return np.clip(curve, around.min(axis=0), around.max(axis=0)).astype(np.float32)


def smooth(rows: Doubles, deviation: float) -> Doubles:
    """Smooth rows over time with a Gaussian of `deviation` frames; the first and last row continue beyond the ends."""
    reach = math.ceil(3 * deviation)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padded = np.pad(rows, ((reach, reach), (0, 0)), mode="edge")
    smoothed = np.zeros_like(rows)
    for offset, share in enumerate(kernel / kernel.sum()):
        smoothed += padded[offset : offset + len(rows)] * share
    return smoothed


def without_noise(rows: Doubles, deviation: float, noise: float) -> Doubles:
    """Smooth rows over time as `smooth` does where they move by no more than `noise` (standard deviation), and ever
    less where they move faster than that: a local Wiener filter (Lee, IEEE PAMI 1980), each column for itself."""
    calm = smooth(rows, deviation)
    away = rows - calm
    power = smooth(np.square(away), deviation)
    return np.asarray(calm + np.clip(1 - noise**2 / np.maximum(power, 1e-12), 0.0, 1.0) * away)


def clip_one_way(rows: npt.NDArray[np.floating], bases: Sequence[Basis]) -> Weights:
    """Remove negative values of weights that only go one way: a jaw cannot be more than shut."""
    lowest = np.array([0.0 if basis.minimum == 0.0 else -np.inf for basis in bases])
    return np.maximum(rows, lowest).astype(np.float32)
