"""Smooth curves through rows of numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]


def interpolate(rows: Weights, positions: npt.NDArray[np.float64]) -> Weights:
    """Rows at fractional `positions` (1 <= p < len(rows) - 2) by a Catmull-Rom spline; whole positions are exact.

    A straight line would flatten lip closures, which last two or three frames. The spline may not leave the range of
    the four rows that it runs through.
    """
    index = np.floor(positions).astype(int)
    t = (positions - index)[:, None]
    a, b, c, d = (rows[index + offset].astype(np.float64) for offset in (-1, 0, 1, 2))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    around = np.stack([a, b, c, d])
    return np.clip(curve, around.min(axis=0), around.max(axis=0)).astype(np.float32)
