# SPDX-License-Identifier: GPL-3.0-or-later
"""Reducing samples to few keys within a stated error. No bpy here.

Between two keys the curve is a cubic in time: its handles are at a third and two thirds of the gap, so Blender's Bezier
curve, a cubic in its own parameter, is also one in time and can be computed without Blender. Keys lie on samples, and a
least-squares fit chooses the slopes. A sample that the curve misses by more than the tolerance becomes a key, until
the curve misses none.

The work is done in `Steps` (see `tasks`) of about one millisecond for each ten thousand samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..tasks import Steps

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

SWEEPS = 8
"""Red and black sweeps for the slopes. The system's off-diagonal is at most 3/4 of its diagonal, so they leave about a
hundredth of the initial error. The fit is measured afterwards, so that error costs at most one more key."""
TURNS_AT_ONCE = 2000
"""Candidate turning points to check in one step."""
CHORD_WEIGHT = 1e-3
"""Weight that pulls a slope towards its neighbouring chords; without samples between the keys, it alone decides."""


@dataclass(frozen=True)
class Keys:
    """Keys of one curve: `frames` (rising), `values` and, for smooth ones, `slopes` per frame; all [keys].

    Without slopes every frame has a key, and Blender chooses the handles.
    """

    frames: Floats
    values: Floats
    slopes: Floats | None = None

    def __len__(self) -> int:
        return len(self.frames)


def dense(first: int, values: npt.ArrayLike) -> Keys:
    """Return a key for each of `values` [frames], the first at frame `first`."""
    samples = np.asarray(values, np.float64)
    return Keys(first + np.arange(len(samples), dtype=np.float64), samples)


def reduce(first: int, values: npt.ArrayLike, tolerance: float) -> Steps[Keys]:
    """Return keys whose curve misses no sample of `values` [frames] by more than `tolerance`, from frame `first` on."""
    samples = np.asarray(values, np.float64)
    keys = yield from _turns(samples, tolerance)
    while True:
        slopes = _slopes(samples, keys)
        yield
        fresh = _missed(samples, keys, slopes, tolerance)
        if not len(fresh):
            return Keys(first + keys.astype(np.float64), samples[keys], slopes)
        keys = np.union1d(keys, fresh)
        yield


def handles(keys: Keys) -> tuple[Floats, Floats]:
    """Return the left and right handles of `keys`, [keys, 2] of frame and value each; level without slopes."""
    slopes = np.zeros(len(keys)) if keys.slopes is None else keys.slopes
    gaps = np.diff(keys.frames) if len(keys) > 1 else np.ones(1)
    before, after = np.append(gaps[:1], gaps), np.append(gaps, gaps[-1:])
    left, right = -before[: len(keys)] / 3, after[-len(keys) :] / 3
    return (
        np.stack([keys.frames + left, keys.values + slopes * left], axis=1),
        np.stack([keys.frames + right, keys.values + slopes * right], axis=1),
    )


def _turns(samples: Floats, swing: float) -> Steps[Indices]:
    """Return the first and last sample, and the turning points after a move of more than `swing`."""
    steps = np.sign(np.diff(samples))
    candidates = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    turns, extreme, direction = [0], 0, 0.0
    for number, i in enumerate(candidates.tolist(), 1):
        if number % TURNS_AT_ONCE == 0:
            yield
        move = samples[i] - samples[extreme]
        if direction * move < 0 and abs(move) > swing:
            turns.append(extreme)
            extreme, direction = i, -direction
        elif direction * move >= 0 and (direction or abs(move) > swing):
            extreme, direction = i, direction or float(np.sign(move))
    return np.unique([*turns, extreme, len(samples) - 1])


def _missed(samples: Floats, keys: Indices, slopes: Floats, tolerance: float) -> Indices:
    """Return one sample in each span between `keys` whose curve misses any by more than `tolerance`.

    It is the sample with the largest miss, moved out of the outer quarters, which would hardly divide the span.
    """
    if len(keys) < 2:
        return np.empty(0, np.intp)
    misses = np.abs(_curve(samples[keys], slopes, keys) - samples)[:-1]
    peaks = np.maximum.reduceat(misses, keys[:-1])
    span = np.repeat(np.arange(len(keys) - 1), np.diff(keys))
    candidates = np.flatnonzero((misses == peaks[span]) & (misses > tolerance))
    spans, firsts = np.unique(span[candidates], return_index=True)
    start, end = keys[spans], keys[spans + 1]
    quarter = np.maximum((end - start) // 4, 1)
    return np.clip(candidates[firsts], start + quarter, end - quarter)


def _curve(values: Floats, slopes: Floats, keys: Indices) -> Floats:
    """Return the curve through `values` with `slopes` at `keys`, at each sample."""
    span, gap, u = _spans(keys)
    basis = _hermite(u)
    start = basis[0] * values[span] + basis[1] * gap * slopes[span]
    return start + basis[2] * values[span + 1] + basis[3] * gap * slopes[span + 1]


def _spans(keys: Indices) -> tuple[Indices, Floats, Floats]:
    """Return for each sample its span between keys, that span's length, and its position in the span, 0 to 1."""
    gaps = np.diff(keys)
    span = np.append(np.repeat(np.arange(len(gaps)), gaps), len(gaps) - 1)
    gap = gaps[span].astype(np.float64)
    return span, gap, (np.arange(len(span)) - keys[span]) / gap


def _hermite(u: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return Hermite's basis: factors of the value and slope at the start, then of those at the end."""
    v = 1 - u
    return v * v * (1 + 2 * u), u * v * v, u * u * (3 - 2 * u), -u * u * v


def _slopes(samples: Floats, keys: Indices) -> Floats:
    """Return the slopes at `keys` that bring the curve closest to all samples (least squares)."""
    if len(keys) < 2:
        return np.zeros(len(keys))
    span, gap, u = _spans(keys)
    basis = _hermite(u)
    start, end = basis[1] * gap, basis[3] * gap
    rest = samples - basis[0] * samples[keys][span] - basis[2] * samples[keys][span + 1]
    spans, chords = len(keys) - 1, np.diff(samples[keys]) / np.diff(keys)

    def gather(products: Floats) -> Floats:
        return np.asarray(np.bincount(span, products, spans), np.float64)

    diagonal, right = np.zeros(spans + 1), np.zeros(spans + 1)
    diagonal[:-1] += gather(start * start) + CHORD_WEIGHT
    diagonal[1:] += gather(end * end) + CHORD_WEIGHT
    right[:-1] += gather(start * rest) + CHORD_WEIGHT * chords
    right[1:] += gather(end * rest) + CHORD_WEIGHT * chords
    return _solve(diagonal, gather(start * end), right)


def _solve(diagonal: Floats, beside: Floats, right: Floats) -> Floats:
    """Return the approximate x of a symmetric tridiagonal system: `diagonal` [n], `beside` it [n - 1], `right` [n]."""
    x = right / diagonal
    for sweep in range(2 * SWEEPS):
        pull = right.copy()
        pull[:-1] -= beside * x[1:]
        pull[1:] -= beside * x[:-1]
        part = slice(sweep % 2, None, 2)
        x[part] = pull[part] / diagonal[part]
    return x
