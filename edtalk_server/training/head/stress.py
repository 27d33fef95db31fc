"""What of a voice the head follows: stressed syllables, phrases and pauses, from timed speech sounds and prosody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edtalk_server.arrays import Bools, Doubles, Floats
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND, Prosody
from edtalk_server.training.speech.utterance import Segment
from edtalk_server.training.speech.visemes import VOWELS

_LEAST_GAP_S = 0.4
"""Seconds between two accents."""
_UNIT_S = (1.2, 2.0)
"""Seconds of an intonation unit: one every 1.6 s."""


@dataclass(frozen=True)
class Syllable:
    """A vowel from `start` to `end` in seconds, and how much it stands out: 0 is usual, in standard deviations."""

    start: float
    end: float
    prominence: float

    @property
    def middle(self) -> float:
        """Its middle in seconds."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Phrase:
    """Speech between two pauses, from `start` to `end` in seconds, after a pause of `pause` seconds."""

    start: float
    end: float
    pause: float


def syllables(segments: Sequence[Segment], rows: Floats) -> list[Syllable]:
    """Return the syllables of timed sounds with their prominence: louder, higher and longer than the others around."""
    vowels = [s for s in segments if s.symbol and s.symbol[0] in VOWELS]
    if not vowels:
        return []
    measured = np.array([_measure(vowel, rows) for vowel in vowels])
    standard = (measured - measured.mean(0)) / (measured.std(0) + 1e-6)
    prominence = standard @ np.array([0.45, 0.45, 0.25])
    return [Syllable(v.start, v.end, float(p)) for v, p in zip(vowels, prominence, strict=True)]


def _measure(vowel: Segment, rows: Floats) -> tuple[float, float, float]:
    first = min(int(vowel.start * FRAMES_PER_SECOND), len(rows) - 1)
    inside = rows[first : max(first + 1, int(np.ceil(vowel.end * FRAMES_PER_SECOND)))]
    level = float(inside[:, Prosody.ENERGY].max())
    return level, float(inside[:, Prosody.PITCH].max()), float(np.log(vowel.end - vowel.start + 0.02))


def accents(spoken: Sequence[Syllable], least: float = 0.0) -> list[Syllable]:
    """Return the accented syllables in order: the most prominent ones first, none nearer than 0.4 s to another."""
    chosen: list[Syllable] = []
    for syllable in sorted(spoken, key=lambda one: -one.prominence):
        if syllable.prominence < least:
            break
        if all(abs(syllable.middle - other.middle) >= _LEAST_GAP_S for other in chosen):
            chosen.append(syllable)
    return sorted(chosen, key=lambda one: one.start)


def phrases(rows: Floats) -> list[Phrase]:
    """Return the stretches between pauses."""
    speaks = is_speech(rows)
    edges = (
        np.flatnonzero(np.diff(np.concatenate([[False], speaks, [False]]).astype(int))) / FRAMES_PER_SECOND
    )
    starts, ends = edges[::2], edges[1::2]
    before = np.concatenate([[0.0], ends[:-1]])
    return [Phrase(float(s), float(e), float(s - b)) for s, e, b in zip(starts, ends, before, strict=True)]


def is_speech(rows: Floats) -> Bools:
    """Return which frames lie outside pauses [T]."""
    return np.asarray(rows[:, Prosody.SINCE_PAUSE] > 0)


def unit_starts(phrase: Phrase, spoken: Sequence[Syllable], rng: np.random.Generator) -> list[float]:
    """Return where the intonation units of a phrase begin: at its start, then every 1.2 to 2 s at a syllable."""
    starts = [phrase.start]
    places: Doubles = np.array([one.start for one in spoken if phrase.start < one.start < phrase.end])
    while len(places):
        wanted = starts[-1] + rng.uniform(*_UNIT_S)
        if wanted > phrase.end - 0.6:
            break
        nearest = float(places[np.abs(places - wanted).argmin()])
        if nearest <= starts[-1] + 0.5:
            break
        starts.append(nearest)
    return starts
