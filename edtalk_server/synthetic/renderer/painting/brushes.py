"""Brushes: noise, blobs, lines and filled curves on small float32 pictures. All randomness comes from the caller's
generator."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

FloatArray = npt.NDArray[np.float32]
Random = np.random.Generator

FACE_SIDE = 512
"""Side of the face tile in pixels; `blob`, `polygon` and `line` paint on that tile."""
ROWS, COLUMNS = np.mgrid[0:FACE_SIDE, 0:FACE_SIDE].astype(np.float32)

_OCTAVES = ((4, 1.0), (16, 0.5), (64, 0.25), (200, 0.2))


def noise(
    random: Random, height: int, width: int, octaves: Sequence[tuple[int, float]] = _OCTAVES
) -> FloatArray:
    """Smooth noise [height, width]: (cells per 512 pixels, amplitude) for each octave; roughly -2 to 2."""
    total = np.zeros((height, width), np.float32)
    for cells, amplitude in octaves:
        shape = (max(2, cells * height // 512 + 1), max(2, cells * width // 512 + 1))
        grid = random.standard_normal(shape).astype(np.float32)
        total += amplitude * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return total


def soften(picture: npt.NDArray, sigma: float) -> FloatArray:
    """Apply a Gaussian blur; `sigma` in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def linear(colour: npt.ArrayLike) -> FloatArray:
    """Convert display colours 0..1 to linear light."""
    return np.power(np.asarray(colour, np.float32), 2.2)


def curve(points: npt.ArrayLike, count: int = 80, closed: bool = True) -> npt.NDArray:
    """Return a smooth curve [count, 2] through the points."""
    knots = np.asarray(points, float)
    if closed:
        ring = np.vstack([knots, knots[:1]])
        return CubicSpline(np.arange(len(ring)), ring, bc_type="periodic")(np.linspace(0, len(knots), count))
    return CubicSpline(np.arange(len(knots)), knots)(np.linspace(0, len(knots) - 1, count))


def blob(x: float, y: float, width: float, height: float) -> FloatArray:
    """Return a Gaussian spot of height 1 on the face tile."""
    return np.exp(-(((COLUMNS - x) / width) ** 2) - ((ROWS - y) / height) ** 2)


def _fixed_point(points: npt.NDArray) -> npt.NDArray[np.int32]:
    return np.round(points * 16).astype(np.int32)


def polygon(points: npt.NDArray, blur: float = 1.5) -> FloatArray:
    """Return a filled shape on the face tile, 0..1, soft at its edge."""
    mask = np.zeros((FACE_SIDE, FACE_SIDE), np.uint8)
    cv2.fillPoly(mask, [_fixed_point(points)], (255,), cv2.LINE_AA, 4)
    return soften(mask.astype(np.float32) / 255, blur)


def line(points: npt.NDArray, thickness: int, blur: float = 1.0) -> FloatArray:
    """Return an open line on the face tile, 0..1."""
    mask = np.zeros((FACE_SIDE, FACE_SIDE), np.uint8)
    cv2.polylines(mask, [_fixed_point(points)], False, (255,), thickness, cv2.LINE_AA, 4)
    return soften(mask.astype(np.float32) / 255, blur)


def stroke(mask: FloatArray, start: npt.NDArray, end: npt.NDArray) -> None:
    """Draw one hair into `mask`: a line of value 1."""
    cv2.line(mask, _fixed_point(start).tolist(), _fixed_point(end).tolist(), (1.0,), 1, cv2.LINE_AA, 4)  # type: ignore[call-overload]


def over(base: npt.NDArray, colour: npt.ArrayLike, mask: npt.NDArray) -> FloatArray:
    """Lay `colour` over `base` [H, W, 3] with coverage `mask` [H, W]."""
    below = np.asarray(base, np.float32)
    return below + (np.asarray(colour, np.float32) - below) * np.asarray(mask, np.float32)[..., None]
