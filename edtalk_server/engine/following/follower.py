"""Follow a face: correct the estimated weights of a film's pictures until the network draws what they show.

A reader that knows renders alone reads the movements of filmed faces too small and their place a few pixels off. The
network itself can tell: from one picture of the film it draws the others, and what differs says how the estimates are
wrong. This is analysis by synthesis, as active appearance models do it (Cootes et al., ECCV 1998; Matthews and Baker,
IJCV 2004). There the slopes are measured once; here they are the network's own, because those of a turned head or of an
open mouth are others than those of the first picture (`descent`). Lids and brows, which are few pixels, are measured
rather than compared (`lids_and_brows`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch.nn.functional as F
from torch import Tensor, cat

from edtalk_server.arrays import Doubles, Picture, Weights
from edtalk_server.engine.following.descent import Limits, Place, descend
from edtalk_server.engine.following.face_shape import MEASURES, UPPER_MEASURES, shape_of
from edtalk_server.engine.following.lids_and_brows import LidsAndBrows, Upper
from edtalk_server.engine.following.reach import reach_of
from shared_protocol.banks import Bank, BankLayout

GRID = 64
"""Pixels of a side in which pictures are compared."""
STEPS = 5
"""Quasi-Newton steps for a picture. Each draws it once with its slopes; more gain little, because each starts at the
correction of the picture before it."""

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
_PIXELS_COUNT_AS = 400.0
"""Neighbouring pixels say the same: all together count as so many independent ones."""
_PROBE = 0.25
"""Change of a weight by which the slopes are measured at the first picture."""
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


class Artist(Protocol):
    """Draws the first picture under weights [C], and looks at what it drew."""

    def draw(self, weights: Doubles) -> Doubles:
        """Return the `sight` of it."""

    def draw_with_slopes(self, weights: Doubles, judge: Judge) -> tuple[Doubles, Doubles]:
        """Return the `sight`, and by how much each weight [C] moves it the way that `judge` wants."""


Judge = Callable[[Doubles], Doubles]
"""A `sight` -> by how much each of its values should rise."""
_Place = Place[Doubles]


class Follower:
    """Corrects the estimates of one film, picture by picture in their order."""

    def __init__(
        self, look: Callable[[Picture], Weights], artist: Artist, own: Weights, layout: BankLayout
    ) -> None:
        """`look`: pictures uint8 [B, S, S, 3] -> `sight`; `artist` draws the first picture, whose weights are `own`
        [C]."""
        self._look, self._artist = look, artist
        self._error = np.array([_READING_ERROR[basis.bank] for basis in layout.bases])
        self._free = np.array([not basis.identifier.startswith(_READ_WELL) for basis in layout.bases])
        self._lowest, self._highest = reach_of(layout)
        slopes = self._measured_slopes(own.astype(np.float64))
        first = _Target(artist.draw(own.astype(np.float64)), own.astype(np.float64), self._error)
        self._curvature = first.curvature(slopes)
        self._upper = LidsAndBrows(self._shape, own.astype(np.float64), layout)
        self.forget()

    def forget(self) -> None:
        """Start anew, after a moment without a face."""
        self._correction = np.zeros(len(self._free))

    def _measured_slopes(self, own: Doubles) -> Doubles:
        """Return the change of `sight` for one unit of each weight [C, ...]; zero for weights that stay."""
        slopes = np.zeros((len(own), 3 * GRID**2 + _POINTS + _SHAPE))
        for channel in np.flatnonzero(self._free):
            probe = np.zeros(len(own))
            probe[channel] = _PROBE
            slopes[channel] = (self._artist.draw(own + probe) - self._artist.draw(own - probe)) / (2 * _PROBE)
        return slopes

    def _shape(self, weights: Doubles) -> Doubles:
        return self._artist.draw(weights)[-_SHAPE:]

    def follow(self, picture: Picture, estimate: Weights) -> Weights:
        """Return the corrected weights [C] of the next picture, uint8 [S, S, 3]."""
        read, true = estimate.astype(np.float64), self._look(picture[None])[0].astype(np.float64)
        target = _Target(true, read, self._error)
        limits = Limits(np.minimum(self._lowest, read), np.maximum(self._highest, read), self._free)

        def look(weights: Doubles) -> _Place:
            seen, wanted = self._artist.draw_with_slopes(weights, target.wanted)
            return Place(weights, target.cost(weights, seen), target.prior_slope(weights) - wanted, seen)

        start = look(np.clip(read + _KEPT * self._correction, limits.lowest, limits.highest))
        if self._correction.any():
            start = min(start, look(read), key=lambda place: place.cost)
        best, self._curvature = descend(look, start, self._curvature, limits, STEPS)
        self._correction = best.weights - read
        upper = self._upper.correct(Upper(best.weights, best.seen[-_SHAPE:]), true[-_SHAPE:], read)
        return upper.weights.astype(np.float32)


class _Target:
    """A picture to draw: how well it is met, and where to go from a guess."""

    def __init__(self, true: Doubles, read: Doubles, error: Doubles) -> None:
        self._true, self._read = true, read
        self._pixels = _PIXELS_COUNT_AS / (3 * GRID**2 * _PIXEL_ERROR**2)
        self._prior = 1 / error**2

    def cost(self, weights: Doubles, seen: Doubles) -> float:
        """Return the misfit, each part in units of its usual error: pixels (Huber), landmarks, and the reading."""
        away = np.abs(self._true - seen)
        pixels, points, measures = away[_PIXELS], away[_PLACES], away[-_SHAPE:]
        bend = 2 * _PIXEL_ERROR
        bent = np.where(pixels < bend, pixels**2, 2 * bend * pixels - bend**2)
        prior = float((self._prior * (weights - self._read) ** 2).sum())
        marks = np.square(points / _POINT_ERROR).sum() + _SHAPE_TRUST @ np.square(measures)
        return float(self._pixels * bent.sum() + marks) + prior

    def _trust(self, away: Doubles) -> Doubles:
        """Return how much each value of a `sight` counts that is so far `away` from the picture's."""
        trust = np.full(len(away), _POINT_ERROR**-2.0)
        trust[_PIXELS] = self._pixels / np.maximum(1, np.abs(away[_PIXELS]) / (2 * _PIXEL_ERROR))
        trust[-_SHAPE:] = _SHAPE_TRUST
        return trust

    def wanted(self, seen: Doubles) -> Doubles:
        """Return by how much the values of a `sight` should rise: half the fall of the cost for each unit."""
        away = self._true - seen
        return self._trust(away) * away

    def prior_slope(self, weights: Doubles) -> Doubles:
        """Return half the slope [C] of what leaving the reading costs."""
        return self._prior * (weights - self._read)

    def curvature(self, slopes: Doubles) -> Doubles:
        """Return half the cost's second derivatives [C, C] where nothing is away (Gauss-Newton)."""
        trust = self._trust(np.zeros(slopes.shape[1]))
        return np.asarray((slopes * trust) @ slopes.T + np.diag(self._prior))
