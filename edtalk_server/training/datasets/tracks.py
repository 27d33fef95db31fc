"""Smooth performances for rendered clips: weights [T, 36] at 25 frames a second.

Mouth, pose and expression move between keys at their own pace; the lids blink as well. Keys are sampled like the
moments of `synthetic.data.sampling`.
"""

from __future__ import annotations

import numpy as np

from edtalk_server.synthetic import controls
from edtalk_server.synthetic.controls import EXPRESSION, MOUTH, POSE, FloatArray
from edtalk_server.synthetic.data import sampling
from edtalk_server.synthetic.data.sampling import BLINKS, Random

_PACE = ((MOUTH, (3, 7)), (POSE, (15, 45)), (EXPRESSION, (20, 60)))
"""Range of frames between keys: a syllable, a turn of the head, a change of mood."""
_BLINK_CHANCE = 0.01  # that a blink starts in a frame: one in four seconds
_BLINK = np.array([0.35, 0.85, 1.0, 0.7, 0.3, 0.1], np.float32)


def track(rng: Random, first: FloatArray, length: int) -> FloatArray:
    """Return `length` rows; `first` [36] carries the framing (shift and scale) that the clip's crop shows."""
    rows = np.zeros((length, controls.CHANNELS), np.float32)
    for bank, pace in _PACE:
        rows[:, bank] = _between_keys(rng, first, bank, pace, length)
    _blink(rng, rows)
    return rows


def _between_keys(
    rng: Random, first: FloatArray, bank: slice, pace: tuple[int, int], length: int
) -> FloatArray:
    times = [-int(rng.integers(0, pace[1]))]
    while times[-1] < length:
        times.append(times[-1] + int(rng.integers(*pace)))
    keys = np.stack([sampling.sample_free(rng, first)[bank] for _ in times])
    at = np.arange(length)
    left = np.searchsorted(times, at, side="right") - 1
    start, end = np.array(times)[left], np.array(times)[left + 1]
    share = ((at - start) / (end - start))[:, None]
    eased = share * share * (3 - 2 * share)
    return np.asarray(keys[left] * (1 - eased) + keys[left + 1] * eased, np.float32)


def _blink(rng: Random, rows: FloatArray) -> None:
    for start in np.flatnonzero(rng.random(len(rows)) < _BLINK_CHANCE):
        shape = _BLINK[: len(rows) - start, None]
        rows[start : start + len(shape), BLINKS] = np.maximum(rows[start : start + len(shape), BLINKS], shape)
