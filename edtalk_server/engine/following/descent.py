"""Find the weights of least cost, within limits, by damped quasi-Newton steps.

Each look at a place costs a drawing, so the few looks must count. The curvature is therefore given, and kept by the
caller for the next, similar search: by the formula of Broyden, Fletcher, Goldfarb and Shanno, damped as Powell does it
(Nocedal and Wright, Numerical Optimization, 2006, procedure 18.2). SciPy's L-BFGS-B begins without any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from edtalk_server.arrays import Bools, Doubles

_DAMPING, _LEAST, _MORE, _LESS = 0.05, 0.1, 4.0, 0.3
"""Damping of the first step, in shares of the curvature's diagonal; after a step that made things worse it is at least
`_LEAST` times `_MORE`, after a good one `_LESS` times what it was."""
_BENT_ENOUGH = 0.2
"""Share of the known curvature along a step below which what was seen there is mixed with it (Powell)."""

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Place(Generic[Seen]):
    """Weights [C], their cost, its gradient [C], and what was seen there."""

    weights: Doubles
    cost: float
    gradient: Doubles
    seen: Seen


class Limits(NamedTuple):
    """The lowest and highest weights [C], and which of them may change at all."""

    lowest: Doubles
    highest: Doubles
    free: Bools


def descend(
    look: Callable[[Doubles], Place[Seen]], start: Place[Seen], curvature: Doubles, limits: Limits, steps: int
) -> tuple[Place[Seen], Doubles]:
    """Return the best place after `steps` looks from `start`, and the curvature [C, C] as it is known then.

    `curvature`: symmetric, positive definite, at best near the cost's second derivatives.
    """
    best, damping = start, _DAMPING
    for _ in range(steps):
        tried = look(_next(best, curvature, damping, limits))
        step = tried.weights - best.weights
        curvature = _learned(curvature, step, (tried.gradient - best.gradient) * limits.free)
        if tried.cost < best.cost:
            best, damping = tried, damping * _LESS
        else:
            damping = max(damping, _LEAST) * _MORE
    return best, curvature


def _next(place: Place[Seen], curvature: Doubles, damping: float, limits: Limits) -> Doubles:
    """Return where to look next: weights at a limit stay there when the cost falls beyond it."""
    weights, gradient = place.weights, place.gradient
    below = (weights <= limits.lowest) & (gradient > 0)
    above = (weights >= limits.highest) & (gradient < 0)
    moves = np.flatnonzero(limits.free & ~below & ~above)
    bent = curvature + damping * np.diag(np.diag(curvature))
    moved = weights.copy()
    moved[moves] -= np.linalg.solve(bent[np.ix_(moves, moves)], gradient[moves])
    return np.asarray(np.clip(moved, limits.lowest, limits.highest))


def _learned(curvature: Doubles, step: Doubles, change: Doubles) -> Doubles:
    """Return the curvature that explains the `change` of the gradient along a step; it stays positive definite."""
    known = curvature @ step
    along, seen = float(step @ known), float(step @ change)
    if along <= 0.0:
        return curvature
    if seen < _BENT_ENOUGH * along:
        share = (1 - _BENT_ENOUGH) * along / (along - seen)
        change = share * change + (1 - share) * known
    return np.asarray(
        curvature - np.outer(known, known) / along + np.outer(change, change) / float(step @ change)
    )
