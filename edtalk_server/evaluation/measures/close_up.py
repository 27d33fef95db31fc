"""Measure what people look at in a close-up: the inside of the mouth, lids that close, eyes that turn.

Each measure moves one weight of a picture at rest and examines the drawn pixels. The eyes' landmarks are detected in
the picture at rest, where detectors are at their best, and the lips in the open mouth. Brightness is luma in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import Picture
from shared_protocol.banks import BankLayout

Doubles = npt.NDArray[np.float64]
Points = npt.NDArray[np.float32]
FindPoints = Callable[[Picture], Points]
"""Pictures [N, S, S, 3] -> landmarks [N, 68, 2] in 0..1 (Multi-PIE order)."""

RIGHT_EYE, LEFT_EYE, INNER_LIPS = slice(36, 42), slice(42, 48), slice(60, 68)
"""The person's right eye is on the picture's left."""

MOVES: Mapping[str, Mapping[str, float]] = {
    "rest": {},
    "open": {"jaw_open": 0.7},
    "blink": {"blink_left": 1.0, "blink_right": 1.0},
    "gaze_one": {"gaze_left": 1.0},
    "gaze_other": {"gaze_left": -1.0},
}
_LEAST_OPENING = 0.001
"""Share of the picture that an open mouth must have for anything to be said about its inside."""


def close_up(
    model: ModelUnderTest, layout: BankLayout, photo: Picture, find: FindPoints | None = None
) -> dict[str, float]:
    """Measure one well-cropped face [S, S, 3]. Return nothing where the network has other bases, or landmarks cannot be
    found. `find` detects landmarks in place of the model, so that a network need not measure itself."""
    find = find or (model.landmarks if model.finds_landmarks else None)
    named = {basis.identifier for basis in layout.bases}
    if find is None or not named.issuperset(name for move in MOVES.values() for name in move):
        return {}
    drawn = dict(zip(MOVES, _draw(model, layout, photo), strict=True))
    rest = find(drawn["rest"][None])[0] * len(photo)
    opened = find(drawn["open"][None])[0] * len(photo)
    return {
        **_eyes(drawn, rest),
        **mouth_inside(drawn["open"], opened),
    }


def _draw(model: ModelUnderTest, layout: BankLayout, photo: Picture) -> Picture:
    rows = np.repeat(model.estimate(photo[None]), len(MOVES), axis=0)
    for row, move in zip(rows, MOVES.values(), strict=True):
        for name, amount in move.items():
            row[layout.index(name)] += amount
    return model.draw(model.prepare(photo), rows)


def mouth_inside(picture: Picture, points: Points) -> dict[str, float]:
    """Measure how bright the open mouth is at its brightest, beside the cheek, and how steep its vertical edges are.

    `points` [68, 2] in pixels. Return nothing where the lips hardly part.
    """
    luma = luma_of(picture)
    inside = np.zeros((len(luma), luma.shape[1]), np.uint8)
    cv2.fillPoly(inside, [np.round(points[INNER_LIPS]).astype(np.int32)], (1,))
    chosen = cv2.erode(inside, np.ones((3, 3), np.uint8)).astype(bool)
    if chosen.mean() < _LEAST_OPENING:
        return {}
    steps = np.abs(np.diff(luma, axis=0, prepend=luma[:1]))
    return {
        "mouth_over_cheek": float(np.quantile(luma[chosen], 0.95) / max(cheek(luma, points), 1e-3)),
        "mouth_gradient": float(np.quantile(steps[chosen], 0.95)),
    }


def cheek(luma: Doubles, points: Points) -> float:
    """Return the brightness of the lighter cheek: medians of patches between outer corners of eye and mouth."""
    reach = max(2, round(0.02 * len(luma)))
    middles = np.round([(points[36] + points[48]) / 2, (points[45] + points[54]) / 2]).astype(int)
    return max(
        float(np.median(luma[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]))
        for x, y in np.clip(middles, 0, len(luma) - 1)
    )


def _eyes(drawn: Mapping[str, Picture], points: Points) -> dict[str, float]:
    """Measure what a blink leaves of the eyes' height and how far the irises turn, as shares, over both eyes."""
    left, closed, turned = [], [], []
    between = float(np.linalg.norm(points[45] - points[36]))
    for part in (RIGHT_EYE, LEFT_EYE):
        eye = points[part]
        height = dark_height(luma_of(drawn["rest"]), eye)
        left.append(height)
        closed.append(dark_height(luma_of(drawn["blink"]), eye))
        places = [iris_place(luma_of(drawn[name]), eye) for name in ("gaze_one", "gaze_other")]
        turned.append(abs(places[0] - places[1]) / 2 / between)
    return {
        "blink_height": float(np.sum(closed) / max(np.sum(left), 1e-3)),
        "gaze_turn": float(np.mean(turned)),
    }


def dark_height(luma: Doubles, eye: Points) -> float:
    """Return how high the iris shows in an eye [6, 2], in pixels, over the three columns that have most dark pixels.

    Dark is darker than half-way from the skin below the eye to its darkest pixels. Lashes of a closed lid count too.
    """
    box, skin = _eye_box(luma, eye)
    if not box.size:
        return 0.0
    dark = box < (np.quantile(box, 0.03) + skin) / 2
    return float(np.sort(dark.sum(0))[-3:].mean())


def iris_place(luma: Doubles, eye: Points) -> float:
    """Return where the iris is from left to right, in pixels: the middle of the darkness inside the eye's outline."""
    outline = np.zeros((len(luma), luma.shape[1]), np.uint8)
    cv2.fillPoly(outline, [np.round(eye).astype(np.int32)], (1,))
    rows, columns = np.nonzero(outline)
    if not len(rows):
        return float(eye[:, 0].mean())
    values = luma[rows, columns]
    weight = np.clip(np.quantile(values, 0.6) - values, 0, None) + 1e-9
    return float((columns * weight).sum() / weight.sum())


def _eye_box(luma: Doubles, eye: Points) -> tuple[Doubles, float]:
    """Return the pixels between the corners, from above the upper to below the lower lid, and the skin's brightness."""
    low, high = eye.min(0), eye.max(0)
    width = high[0] - low[0]
    middle = (low[1] + high[1]) / 2
    top, bottom = round(middle - 0.3 * width), round(middle + 0.3 * width)
    left, right = round(low[0] + 0.2 * width), round(high[0] - 0.2 * width)
    below = luma[bottom : bottom + max(2, round(0.15 * width)), left:right]
    skin = float(np.median(below)) if below.size else float(np.median(luma))
    return luma[max(top, 0) : bottom, max(left, 0) : right], skin


def luma_of(picture: Picture) -> Doubles:
    """Return the brightness [S, S] in 0..1 of a picture [S, S, 3]."""
    return np.asarray(picture.astype(np.float64) @ [0.299, 0.587, 0.114] / 255)
