"""Lids and brows of a film, read by what the network draws of them.

A reader that knows renders alone says less than half of a film's blinks. Landmarks still tell how far lids are open.
Once for a person lids are drawn at known weights and brows moved, and what is measured there is kept. Reading is the
inverse of that, so whatever a face or the landmark detector does of its own cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edtalk_server.arrays import Doubles
from edtalk_server.engine.following.face_shape import MEASURES
from edtalk_server.engine.following.reach import reach_of
from shared_protocol.banks import BankLayout

STEPS = 2
"""Corrections of a picture. Each draws it once."""

_EYES = (("blink_right", "right_lids"), ("blink_left", "left_lids"))
_BROWS = ("brow_raise", "brow_furrow")
_BROW_MEASURES = (
    "right_brow_outer",
    "right_brow_inner",
    "left_brow_inner",
    "left_brow_outer",
    "brows_apart",
)
_TRIED = (-0.8, -0.4, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Where lids are tried: above 0 in parts of the way from the portrait's own to closed ones."""
_PROBE = 0.6
"""Change of a brow's weight by which its slopes are measured."""
_READING_ERROR = 0.8
"""How far readings of lids and brows are off on film, in weight units."""

Draw = Callable[[Doubles], Doubles]
"""Weights [C] -> `shape_of` what is drawn under them."""
_PLACE = {name: place for place, name in enumerate(MEASURES)}
_ERROR = np.array([*MEASURES.values()])


@dataclass(frozen=True)
class _Curve:
    """The opening that is measured at rising weights of one eye's blink; it falls."""

    weights: Doubles
    openings: Doubles

    def opening(self, weight: float) -> float:
        """Return what is measured at a weight."""
        return float(np.interp(weight, self.weights, self.openings))

    def weight(self, opening: float, read: float, error: float) -> float:
        """Return the weight at which `opening` is measured, give or take `error`, where the reader says `read`."""
        found = float(np.interp(-opening, -self.openings, self.weights))
        near = np.clip(found + np.array([-0.2, 0.2]), self.weights[0], self.weights[-1])
        slope = (self.opening(near[0]) - self.opening(near[1])) / (near[1] - near[0])
        trust = (slope / error) ** 2
        return (trust * found + read / _READING_ERROR**2) / (trust + 1 / _READING_ERROR**2)


class Upper(NamedTuple):
    """Weights [C] and the shape that is measured where they are drawn."""

    weights: Doubles
    shape: Doubles


class LidsAndBrows:
    """Corrects the weights of lids and brows of one person. Layouts that do not name them leave it nothing to do."""

    def __init__(self, draw: Draw, own: Doubles, layout: BankLayout) -> None:
        """`own` [C]: the weights of the face that `draw` moves."""
        self._draw = draw
        names = [basis.identifier for basis in layout.bases]
        self._eyes = [
            (names.index(blink), _PLACE[lids], _curve(draw, own, names.index(blink), _PLACE[lids]))
            for blink, lids in _EYES
            if blink in names
        ]
        self._brows = [names.index(name) for name in _BROWS if name in names]
        self._marks = [_PLACE[name] for name in _BROW_MEASURES]
        self._slopes = np.array([self._slope(own, channel) for channel in self._brows])
        self._range = reach_of(layout)

    @property
    def channels(self) -> Sequence[int]:
        """The weights that it corrects."""
        return [*(channel for channel, _, _ in self._eyes), *self._brows]

    def _slope(self, own: Doubles, channel: int) -> Doubles:
        moved = own.copy()
        moved[channel] += _PROBE
        return np.asarray((self._draw(moved) - self._draw(own))[self._marks] / _PROBE)

    def correct(self, drawn: Upper, shape: Doubles, read: Doubles) -> Upper:
        """Return the weights under which lids and brows measure as in a picture with `shape`, from what is `drawn` so
        far and `read` [C] of it."""
        for _ in range(STEPS if self.channels else 0):
            weights = drawn.weights.copy()
            for channel, place, curve in self._eyes:
                opening = curve.opening(weights[channel]) + shape[place] - drawn.shape[place]
                weights[channel] = curve.weight(opening, read[channel], _ERROR[place])
            weights[self._brows] = self._brow_weights(drawn, shape, read)
            weights = np.clip(weights, *self._limits(read))
            drawn = Upper(weights, self._draw(weights))
        return drawn

    def _limits(self, read: Doubles) -> tuple[Doubles, Doubles]:
        return np.minimum(self._range[0], read), np.maximum(self._range[1], read)

    def _brow_weights(self, drawn: Upper, shape: Doubles, read: Doubles) -> Doubles:
        """Return the brows' weights by the best Gauss-Newton step that moves one of them alone, the others as read.

        Raised and furrowed at once is a worried face: together they would explain what neither does by itself.
        """
        now, said = drawn.weights[self._brows], read[self._brows]
        away = (shape - drawn.shape)[self._marks] - (said - now) @ self._slopes
        trust, prior = 1 / _ERROR[self._marks] ** 2, 1 / _READING_ERROR**2
        by = (self._slopes * trust) @ away / ((np.square(self._slopes) * trust).sum(1) + prior)
        lowest, highest = (limit[self._brows] for limit in self._limits(read))
        by = np.clip(said + by, lowest, highest) - said
        misfit = (np.square(away - by[:, None] * self._slopes) * trust).sum(1) + prior * np.square(by)
        best = int(np.argmin(misfit))
        said[best] += by[best]
        return said


def _curve(draw: Draw, own: Doubles, channel: int, place: int) -> _Curve:
    """Try the lids of one eye."""
    weights, openings = [], []
    for way in _TRIED:
        row = own.copy()
        row[channel] += way * max(1 - own[channel], 0.2) if way > 0 else way
        weights.append(row[channel])
        openings.append(draw(row)[place])
    falling = np.minimum.accumulate(openings)
    return _Curve(np.array(weights), falling - 1e-6 * np.arange(len(falling)))
