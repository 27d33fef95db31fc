"""Where a voice speaks: stretches of sound between pauses."""

from __future__ import annotations

import numpy as np

from edtalk_server.arrays import Bools, Doubles
from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion.script_words import Span

HOP = SAMPLE_RATE // 100
"""Samples of a level: 10 ms."""
SHORTEST_PAUSE = 0.12
"""Seconds of quiet that part two stretches; the closure of a plosive is shorter."""
SHORTEST_STRETCH = 0.05
_QUIET_SHARE = 0.28
"""Where the threshold lies between the quiet and the loud levels (decibels) of a recording."""


def stretches(voice: Waveform) -> list[Span]:
    """Return the spans in which somebody speaks, in seconds; the threshold follows the recording's own levels."""
    levels = _decibels(voice)
    if not len(levels):
        return []
    quiet, loud = np.quantile(levels, [0.05, 0.95])
    quiet = max(float(quiet), float(loud) - 60.0)
    if loud < -60.0 or loud - quiet < 3.0:  # silence, or a level that never changes
        return [] if loud < -60.0 else [(0.0, float(voice.duration))]
    return _spans(levels > quiet + _QUIET_SHARE * (loud - quiet))


def _decibels(voice: Waveform) -> Doubles:
    """Return the level of each 10 ms, smoothed over 30 ms."""
    count = len(voice.samples) // HOP
    frames = voice.samples[: count * HOP].reshape(count, HOP)
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / HOP
    if count >= 3:
        power = np.convolve(power, np.full(3, 1 / 3), "same")
    return 10.0 * np.log10(power + 1e-10)


def _spans(speaks: Bools) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], speaks, [False]]).astype(np.int8)))
    found: list[Span] = []
    for start, end in edges.reshape(-1, 2) * (HOP / SAMPLE_RATE):
        if found and start - found[-1][1] < SHORTEST_PAUSE:
            found[-1] = (found[-1][0], float(end))
        else:
            found.append((float(start), float(end)))
    return [(start, end) for start, end in found if end - start >= SHORTEST_STRETCH]


def within(spans: list[Span], limits: Span) -> list[Span]:
    """Return the parts of spans that lie within `limits`."""
    cut = [(max(start, limits[0]), min(end, limits[1])) for start, end in spans]
    return [(start, end) for start, end in cut if end - start >= SHORTEST_STRETCH]
