"""Follow a face: correct the estimated weights of a film's pictures until the network draws what they show.

A reader that knows renders alone reads the movements of filmed faces too small and their place a few pixels off. The
network itself can tell: from one picture of the film it draws the others, and what differs says how the estimates are
wrong. This is analysis by synthesis, as active appearance models do it (Cootes et al., ECCV 1998; Matthews and Baker,
IJCV 2004): damped Gauss-Newton steps with the slopes measured once at the first picture. Lids and brows, which are few
pixels, are measured rather than compared (`lids_and_brows`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor, cat

from edtalk_server.arrays import Doubles, Picture, Weights
from edtalk_server.engine.face_shape import MEASURES, UPPER_MEASURES, shape_of
from edtalk_server.engine.lids_and_brows import LidsAndBrows, Upper
from shared_protocol.banks import Bank, BankLayout

GRID = 64
"""Pixels of a side in which pictures are compared."""
STEPS = 3
"""Gauss-Newton steps for a picture. Each draws it once; more gain little, because each picture starts at the correction
of the one before it."""

_POINTS, _SHAPE = 2 * 68, len(MEASURES)
_PIXELS, _PLACES = slice(0, -_POINTS - _SHAPE), slice(-_POINTS - _SHAPE, -_SHAPE)
"""Where pixels and landmarks are in a `sight`; the shape follows."""
_SHAPE_TRUST = np.array([0.0 if name in UPPER_MEASURES else error**-2.0 for name, error in MEASURES.items()])
_READ_WELL = ("blink", "brow", "gaze", "squint", "sneer")
"""Beginnings of the names of weights that stay as they are read: networks draw lids, brows and eyes too weakly to
measure them by what is drawn. Lids and brows have their own way (`lids_and_brows`)."""
_READING_ERROR = {Bank.MOUTH: 0.12, Bank.POSE: 0.5, Bank.EXPRESSION: 0.2}
"""How far a reading is usually off, in weight units (standard deviation)."""
_PIXEL_ERROR, _POINT_ERROR = 0.1, 0.02
"""The usual misfit of a pixel, of -1 to 1, and of a landmark's coordinate, of 0 to 1, when the weights are right."""
_PIXELS_COUNT_AS = 200.0
"""Neighbouring pixels say the same: all together count as so many independent ones."""
_BACKGROUND = 0.3
"""How much a pixel counts outside the face."""
_PROBE = 0.25
"""Change of a weight by which the slopes are measured."""
_DAMPING, _MORE, _LESS = 0.3, 6.0, 0.3
_KEPT = 0.8
"""Share of the last picture's correction at which the next one starts."""


def sight(face: Any, pictures: Tensor) -> Tensor:
    """Return what is compared of pictures [B, 3, n, n]: pixels of `GRID` x `GRID`, landmarks, and the face's shape,
    [B, 3 GRID² + 136 + len(MEASURES)].

    n is a multiple of `GRID` and of what the network's landmark detector takes.
    """
    pixels = F.avg_pool2d(pictures.clamp(-1, 1), pictures.shape[-1] // GRID).flatten(1)
    points = face.cropped_landmarks_of(pictures).float()
    return cat([pixels, points.flatten(1), shape_of(points)], 1)


@dataclass
class _Guess:
    """Weights [C], what is drawn under them, and their cost."""

    weights: Doubles
    seen: Doubles
    cost: float


class Follower:
    """Corrects the estimates of one film, picture by picture in their order."""

    def __init__(
        self,
        look: Callable[[Picture], Weights],
        draw: Callable[[Weights], Weights],
        own: Weights,
        layout: BankLayout,
    ) -> None:
        """`look`: pictures uint8 [B, S, S, 3] -> `sight`; `draw`: weights [B, C] -> `sight` of the first picture drawn
        under them; `own` [C]: the first picture's weights."""
        self._look, self._draw = look, draw
        self._error = np.array([_READING_ERROR[basis.bank] for basis in layout.bases])
        self._free = np.array([not basis.identifier.startswith(_READ_WELL) for basis in layout.bases])
        self._lowest = np.array([basis.minimum for basis in layout.bases])
        self._highest = np.array([basis.maximum for basis in layout.bases])
        self._slopes = self._measured_slopes(own)
        self._upper = LidsAndBrows(self._shape, own.astype(np.float64), layout)
        self.forget()

    def forget(self) -> None:
        """Start anew, after a moment without a face."""
        self._correction = np.zeros(len(self._free))

    def _measured_slopes(self, own: Weights) -> Doubles:
        """Return the change of `sight` for one unit of each weight [C, ...]; zero for weights that stay."""
        probe = np.diag(self._free * _PROBE).astype(np.float32)[self._free]
        slopes = np.zeros((len(own), 3 * GRID**2 + _POINTS + _SHAPE))
        rows = np.concatenate([own + probe, own - probe]).astype(np.float32)
        drawn = np.concatenate([self._draw(row[None]) for row in rows]).astype(np.float64)
        up, down = np.split(drawn, 2)
        slopes[self._free] = (up - down) / (2 * _PROBE)
        return slopes

    def _shape(self, weights: Doubles) -> Doubles:
        return self._draw(weights[None].astype(np.float32))[0, -_SHAPE:].astype(np.float64)

    def follow(self, picture: Picture, estimate: Weights) -> Weights:
        """Return the corrected weights [C] of the next picture, uint8 [S, S, 3]."""
        read, true = estimate.astype(np.float64), self._look(picture[None])[0].astype(np.float64)
        target = _Target(true, read, self._error)
        lowest, highest = np.minimum(self._lowest, read), np.maximum(self._highest, read)

        def guess(weights: Doubles) -> _Guess:
            inside = np.clip(weights, lowest, highest)
            seen = self._draw(inside[None].astype(np.float32))[0].astype(np.float64)
            return _Guess(inside, seen, target.cost(inside, seen))

        best = guess(read)
        if self._correction.any():
            best = min(best, guess(read + _KEPT * self._correction), key=lambda tried: tried.cost)
        damping = _DAMPING
        for _ in range(STEPS):
            tried = guess(best.weights + target.step(best, self._slopes, damping))
            damping *= _LESS if tried.cost < best.cost else _MORE
            best = min(best, tried, key=lambda tried: tried.cost)
        self._correction = best.weights - read
        upper = self._upper.correct(Upper(best.weights, best.seen[-_SHAPE:]), true[-_SHAPE:], read)
        return upper.weights.astype(np.float32)


class _Target:
    """A picture to draw: how well it is met, and where to go from a guess."""

    def __init__(self, true: Doubles, read: Doubles, error: Doubles) -> None:
        self._true, self._read = true, read
        mask = face_mask(true[_PLACES].reshape(-1, 2))
        self._pixels = np.tile(mask.reshape(-1), 3) * (_PIXELS_COUNT_AS / (3 * mask.sum() * _PIXEL_ERROR**2))
        self._prior = 1 / error**2

    def cost(self, weights: Doubles, seen: Doubles) -> float:
        """Return the misfit, each part in units of its usual error: pixels (Huber), landmarks, and the reading."""
        away = np.abs(self._true - seen)
        pixels, points, measures = away[_PIXELS], away[_PLACES], away[-_SHAPE:]
        bend = 2 * _PIXEL_ERROR
        bent = np.where(pixels < bend, pixels**2, 2 * bend * pixels - bend**2)
        prior = float((self._prior * (weights - self._read) ** 2).sum())
        marks = np.square(points / _POINT_ERROR).sum() + _SHAPE_TRUST @ np.square(measures)
        return float(self._pixels @ bent + marks) + prior

    def step(self, guess: _Guess, slopes: Doubles, damping: float) -> Doubles:
        """Return the damped Gauss-Newton step (Levenberg-Marquardt) from a guess."""
        away = self._true - guess.seen
        trust = np.full(len(away), _POINT_ERROR**-2.0)
        trust[_PIXELS] = self._pixels / np.maximum(1, np.abs(away[_PIXELS]) / (2 * _PIXEL_ERROR))
        trust[-_SHAPE:] = _SHAPE_TRUST
        curvature = (slopes * trust) @ slopes.T + np.diag(self._prior)
        downhill = slopes @ (trust * away) - self._prior * (guess.weights - self._read)
        return np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), downhill)


def face_mask(points: npt.NDArray[np.floating[Any]]) -> Doubles:
    """Return how much each pixel counts [GRID, GRID]: 1 in the box of landmarks [68, 2] in 0..1 and a little more."""
    mask = np.full((GRID, GRID), _BACKGROUND)
    middle, reach = (points.min(0) + points.max(0)) / 2, 1.15 * (points.max(0) - points.min(0)) / 2
    left, top = np.round((middle - reach) * GRID).astype(int).clip(0, GRID)
    right, bottom = np.round((middle + reach) * GRID).astype(int).clip(0, GRID)
    mask[top:bottom, left:right] = 1.0
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.0), np.float64)
