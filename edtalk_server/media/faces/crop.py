"""The release's crop geometry, for pictures and driving videos that its tools have cropped.

Coordinates are the release's: integer pixel positions are pixel centres. `media.faces.portrait` crops portraits by the
same template.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Picture
from edtalk_server.media.faces.template import FITTED_POINTS, TEMPLATE68, TEMPLATE_SIZE

VIDEO_MARGIN = 0.1
"""Margin around the faces of a video, in sides of their box."""
PICTURE_MARGIN = 0.8
"""Margin around the face of a picture, in sides of its box."""
_RAISE = 0.1
"""How far the box of a picture is raised, in its heights."""


class Box(NamedTuple):
    """Edges in pixels."""

    left: int
    top: int
    right: int
    bottom: int


def fit_similarity(source: Doubles, target: Doubles) -> Doubles:
    """Return the similarity [3, 3] that best maps `source` [N, 2] to `target` [N, 2] (least squares, Umeyama 1991)."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    from_mean, to_mean = source - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(to_mean.T @ from_mean)
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    scale = (singular * signs).sum() / (from_mean**2).sum()
    matrix = np.eye(3)
    matrix[:2, :2] = scale * (u * signs) @ vt
    matrix[:2, 2] = target_mean - matrix[:2, :2] @ source_mean
    return matrix


def crop_matrix(landmarks: npt.ArrayLike) -> Doubles:
    """Return the map [3, 3] from the 256-pixel crop to the picture, for 68 landmarks [68, 2] (x, y)."""
    points = np.asarray(landmarks, np.float64)[:FITTED_POINTS]
    return fit_similarity(TEMPLATE68[:FITTED_POINTS].astype(np.float64), points)


def warp(image: Picture, matrix: Doubles, size: int = TEMPLATE_SIZE) -> Picture:
    """Cut the crop [size, size, 3]: bilinear samples at `matrix` · (x, y, 1), black outside, rounded down."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float64)
    places = matrix[:2] @ np.stack([x.ravel(), y.ravel(), np.ones(size * size)])
    framed = np.pad(image.astype(np.float64) / 255.0, ((1, 2), (1, 2), (0, 0)))
    limits = np.array([[image.shape[1]], [image.shape[0]]])
    places = np.clip(places, -1.0, limits) + 1.0
    corner = np.floor(places).astype(np.intp)
    (fx, fy), (x0, y0) = (places - corner)[..., None], corner
    above = framed[y0, x0] * (1 - fx) + framed[y0, x0 + 1] * fx
    below = framed[y0 + 1, x0] * (1 - fx) + framed[y0 + 1, x0 + 1] * fx
    return ((above * (1 - fy) + below * fy) * 255.0).astype(np.uint8).reshape(size, size, 3)


def _margins(width: float, height: float, margin: float) -> tuple[float, float]:
    """Return by which fraction of itself a box grows on each side to become a square with a margin."""
    grown = 1.0 + 2.0 * margin
    across = max(margin, (grown * height - width) / (2.0 * width))
    along = max(margin, (grown * width - height) / (2.0 * height))
    return across, along


def _widened(box: tuple[float, float, float, float], margin: float) -> Box:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    across, along = _margins(width, height, margin)
    return Box(
        int(left - across * width),
        int(top - along * height),
        int(right + across * width),
        int(bottom + along * height),
    )


def video_box(frame_width: int, frame_height: int, face: tuple[float, float, float, float]) -> Box:
    """Return the box of the release's `crop_video` around the union of a track's faces (left, top, right, bottom).

    It is clipped to the frame, so near the border it is not square (the release stretches it).
    """
    left, top, right, bottom = _widened(face, VIDEO_MARGIN)
    return Box(max(0, left), max(0, top), min(frame_width, right), min(frame_height, bottom))


def picture_box(frame_width: int, frame_height: int, face: Box) -> Box:
    """Return the square of the release's older `crop_image` around a detector's box: raised by a tenth, much wider.

    If it leaves the picture at the left or top, it shrinks on all sides by the overhang. At the right and bottom the
    release compares the edge before widening, so there it may stay outside; we do the same.
    """
    height = face.bottom - face.top
    top = max(0.0, face.top - _RAISE * height)
    bottom = min(float(frame_height), face.bottom - _RAISE * height)
    wide = _widened((face.left, top, face.right, bottom), PICTURE_MARGIN)
    inside_right, inside_bottom = min(frame_width, wide.right), min(frame_height, wide.bottom)
    shrink = max(0, -wide.left, -wide.top, face.right - inside_right, int(bottom - inside_bottom))
    return Box(wide.left + shrink, wide.top + shrink, wide.right - shrink, wide.bottom - shrink)
