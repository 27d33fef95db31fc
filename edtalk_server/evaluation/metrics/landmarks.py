"""Measures of 68 landmarks (Multi-PIE order): distances between two faces, and how far a movement went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float32]

MOUTH = slice(48, 68)


@dataclass(frozen=True)
class Movement:
    """A weight, the amount that is added to it, and the measure of the face that shows the result."""

    basis: str
    amount: float
    measure: str


MOVEMENTS = (
    Movement("jaw_open", 0.7, "mouth_gap"),
    Movement("yaw", 0.8, "nose_x"),
    Movement("yaw", -0.8, "nose_x"),
    Movement("pitch", 0.7, "nose_y"),
    Movement("roll", 0.7, "tilt"),
    Movement("smile", 1.0, "mouth_width"),
    Movement("blink_left", 1.0, "left_eye_gap"),
    Movement("brow_raise", 1.0, "brow_gap"),
)


def face_measures(points: Points, size: int) -> dict[str, float]:
    """Return the measures of a face that `MOVEMENTS` name, in pixels; `points` [68, 2] in 0..1."""
    p = points * size
    eyes = p[36:48].mean(0)
    return {
        "mouth_gap": float(np.linalg.norm(p[61:64] - p[[67, 66, 65]], axis=1).mean()),
        "mouth_width": float(np.linalg.norm(p[54] - p[48])),
        "nose_x": float(p[30, 0] - 0.5 * (p[2, 0] + p[14, 0])),
        "nose_y": float(p[30, 1] - eyes[1]),
        "tilt": float(p[42:48, 1].mean() - p[36:42, 1].mean()),
        "left_eye_gap": float(np.linalg.norm(p[43:45] - p[[47, 46]], axis=1).mean()),
        "brow_gap": float(eyes[1] - p[17:27, 1].mean()),
    }


def distance(estimated: Points, true: Points, size: int) -> float:
    """Return the mean distance of two sets of landmarks [68, 2] in pixels."""
    return float(np.linalg.norm(estimated - true, axis=-1).mean() * size)


def centred_distance(estimated: Points, true: Points, size: int) -> float:
    """Return the paper's landmark distance: the mean distance in pixels after centring each set (nothing else is
    aligned).

    Over the mouth's 20 points it is M-LMD, over all 68 F-LMD.
    """
    return distance(estimated - estimated.mean(axis=-2), true - true.mean(axis=-2), size)


def coordinate_distance(estimated: Points, true: Points, size: int) -> float:
    """Return AKD (Siarohin et al. 2019): the mean absolute difference of the coordinates in pixels, nothing aligned."""
    return float(np.abs(estimated - true).mean() * size)


def face_box(points: Points, size: int) -> tuple[slice, slice]:
    """Return rows and columns of the smallest box around the landmarks [68, 2] within the picture."""
    low, high = points.min(0) * size, points.max(0) * size
    left, top = np.floor(low).clip(0, size - 8).astype(int)
    right, bottom = np.ceil(high).clip(8, size).astype(int)
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
