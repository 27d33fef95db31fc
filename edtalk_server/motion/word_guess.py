"""Words placed without a recogniser: spread over the voiced stretches by their length.

Which words belong to which stretch is found by dynamic programming: each stretch should last as long as its words, long
pauses should stand at the ends of sentences, and ends of sentences should have a pause.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edtalk_server.arrays import Doubles
from edtalk_server.motion.script_words import Boundary, ScriptWord, Span

PAUSES = {Boundary.NONE: 0.0, Boundary.CLAUSE: 0.2, Boundary.SENTENCE: 0.4}
"""Seconds of silence after a word where there is no voice to listen to."""
SECONDS_A_UNIT = 0.17
_LAST_LONGER = 0.35
"""Units by which the last word before a pause is lengthened."""
_REACH = 250
"""How many words the search looks to each side of where a steady speaker would be."""
_UNPAUSED = np.array([0.0, 0.5, 2.0])
"""Cost of no pause after a word, by boundary."""


def spread(words: Sequence[ScriptWord], stretches: Sequence[Span]) -> list[Span]:
    """Return the span of each word, in order, within the stretches (at least one)."""
    groups = _groups(words, stretches)
    spans: list[Span] = []
    for (first, last), stretch in zip(pairwise(groups), stretches, strict=True):
        if last > first:
            spans += _evenly(words[first:last], stretch)
    return spans


def without_voice(words: Sequence[ScriptWord], start: float = 0.0) -> list[Span]:
    """Return the spans of words as a steady speaker would say them, from `start` on."""
    spans, time = [], start
    for word in words:
        end = time + word.units * SECONDS_A_UNIT
        spans.append((time, end))
        time = end + PAUSES[word.boundary]
    return spans


def _evenly(words: Sequence[ScriptWord], stretch: Span) -> list[Span]:
    """Spread words over a stretch by their units."""
    units = np.array([word.units for word in words], np.float64)
    units[-1] += _LAST_LONGER
    edges = np.concatenate([[0.0], np.cumsum(units)]) / units.sum()
    times = stretch[0] + edges * (stretch[1] - stretch[0])
    return [(float(start), float(end)) for start, end in pairwise(times)]


def _groups(words: Sequence[ScriptWord], stretches: Sequence[Span]) -> list[int]:
    """Return the edges [stretches + 1] of the words in each stretch, found twice: the second time with the pace of the
    first."""
    lengths = np.array([end - start for start, end in stretches])
    pauses = np.array([after[0] - before[1] for before, after in pairwise(stretches)])
    units = np.concatenate([[0.0], np.cumsum([word.units for word in words])])
    pace = float(lengths.sum() / units[-1])
    edges = _search(words, units, lengths, pauses, pace)
    fullest = [units[b] - units[a] for a, b in pairwise(edges)]
    used = [length for length, count in zip(lengths, fullest, strict=True) if count > 0]
    again = float(sum(used) / units[-1])
    return edges if again > 0.98 * pace else _search(words, units, lengths, pauses, again)


def _search(
    words: Sequence[ScriptWord], units: Doubles, lengths: Doubles, pauses: Doubles, pace: float
) -> list[int]:
    """Return the cheapest edges. State: how many words have been spoken by the end of a stretch."""
    count = len(words)
    boundaries = np.array([0, *(word.boundary for word in words)])
    missed = np.concatenate([[0.0], np.cumsum(_UNPAUSED[boundaries[1:]])])
    expected = np.searchsorted(units, np.cumsum(lengths) / lengths.sum() * units[-1])
    costs, first = np.zeros(1), 0  # of the states first, first + 1, ...
    choices: list[tuple[int, int, np.ndarray]] = []
    for j, length in enumerate(lengths):
        last_one = j == len(lengths) - 1
        low = count if last_one else max(int(expected[j]) - _REACH, 0)
        high = count if last_one else min(int(expected[j]) + _REACH, count)
        low = max(low, first) if not last_one else count
        high = max(high, low)
        before, after = np.arange(first, first + len(costs)), np.arange(low, high + 1)
        said = (units[after][None, :] - units[before][:, None]) * pace
        total = costs[:, None] + _length_cost(said, length)
        # an unpaused boundary inside the stretch; the one at its end has its pause
        inside = missed[np.maximum(after - 1, 0)][None, :] - missed[before][:, None]
        total += np.where(after[None, :] > before[:, None], inside, 0.0)
        if not last_one:
            total += _pause_cost(boundaries[after], float(pauses[j]))[None, :]
        total = np.where(after[None, :] >= before[:, None], total, np.inf)
        best = total.argmin(axis=0)
        choices.append((first, low, best))
        costs, first = total[best, np.arange(len(after))], low
    edges = [count]
    for origin, lowest, best in reversed(choices):
        edges.append(origin + int(best[edges[-1] - lowest]))
    return edges[::-1]


def _length_cost(said: Doubles, length: float) -> Doubles:
    """Cost of saying `said` seconds' worth of words in a stretch of `length`: paces vary by about a fifth."""
    variance = 0.03 + 0.04 * np.minimum(said, length) ** 2 / np.maximum(said, 0.3) + 0.02 * said
    return np.where(said > 0, (said - length) ** 2 / (2 * variance), 0.5 + 6.0 * length)


def _pause_cost(boundaries: np.ndarray, pause: float) -> Doubles:
    """Cost of a pause after words with these boundaries: long ones belong to sentences, short ones may be anywhere."""
    costs = np.array(
        [0.6 + 5.0 * min(pause, 1.5), 0.2 + 1.0 * max(pause - 0.5, 0.0), 0.1 + 1.5 * max(0.25 - pause, 0.0)]
    )
    return costs[boundaries]
