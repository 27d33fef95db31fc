# SPDX-License-Identifier: GPL-3.0-or-later
"""Emotions in words with times, "happy 0.7", as curves of the eight intensities. No bpy here.

A cue says what the face feels from its time on: the emotions it names, and no others. The change begins at the cue and
takes the blend time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from shared_protocol.timebase import TimeBase

from .mixing import EMOTIONS

NOTHING = ("none", "rest", "portrait")
"""Words for the portrait's own expression."""
_OTHER_WORDS = {
    "joy": "happy",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "surprise": "surprised",
    "afraid": "fear",
    "fearful": "fear",
    "disgust": "disgusted",
    "contemptuous": "contempt",
    "calm": "neutral",
}
_TERM = re.compile(r"([a-z]+)(?:\s*[:= ]\s*|(?=\d))?(\d*\.?\d+)?\s*(%?)")


@dataclass(frozen=True)
class Cue:
    """From `time` (in seconds) on the face feels `emotions`: (name, intensity 0 to 1) each, and nothing else."""

    time: float
    emotions: tuple[tuple[str, float], ...] = ()


Keys = list[tuple[float, float]]
"""(frame, intensity) of each key, frames rising."""


def parse(text: str) -> tuple[tuple[str, float], ...] | None:
    """The emotions in "happy", "sad 0.5", "angry 70%" or "happy 0.4 + surprised 0.3"; empty for "none".

    None when the text does not say an emotion.
    """
    found: dict[str, float] = {}
    for term in re.split(r"[+,&]", text.strip().lower()):
        match = _TERM.fullmatch(term.strip())
        if match is None:
            return None
        word, number, percent = match.groups()
        name = _OTHER_WORDS.get(word, word)
        if name in EMOTIONS:
            value = float(number or 1) / (100 if percent and number else 1)
            found[name] = min(max(value, 0.0), 1.0)
        elif name not in NOTHING or number:
            return None
    return tuple(found.items())


def cues_to_curves(cues: Iterable[Cue], fps: Fraction | float, blend: float) -> dict[str, Keys]:
    """Keys of each emotion that any cue names; frame 0 is at second 0, `blend` in seconds.

    A cue that comes before the last change has ended begins from where that had come (between keys intensities are
    taken to change evenly). Of cues at the same time the last counts.
    """
    rows = sorted({cue.time: cue for cue in cues}.values(), key=lambda cue: cue.time)
    names = {name for cue in rows for name, _ in cue.emotions}
    time = TimeBase(Fraction(fps))
    return {name: _keys(name, rows, time, blend) for name in EMOTIONS if name in names}


def _keys(name: str, cues: Sequence[Cue], base: TimeBase, blend: float) -> Keys:
    """The keys of one emotion: two for each change."""
    keys: Keys = []
    value, start, began, target = 0.0, 0.0, 0.0, 0.0  # the last change: from `start` at `began` to `target`
    for cue in cues:
        wanted = dict(cue.emotions).get(name, 0.0)
        if wanted == target:
            continue
        done = 1.0 if blend <= 0 or not keys else min((cue.time - began) / blend, 1.0)
        value = start + (target - start) * done
        if keys and done < 1.0:
            keys.pop()  # the change that this cue interrupts is never complete
        keys += [_key(cue.time, base, value), _key(cue.time + max(blend, 0.0), base, wanted)]
        start, began, target = value, cue.time, wanted
    return _without_doubles(keys)


def _key(time: float, base: TimeBase, value: float) -> tuple[float, float]:
    return round(base.frame(time), 3), round(value, 6)


def _without_doubles(keys: Keys) -> Keys:
    """Of keys at the same frame the last; a jump (no blend time) begins a frame before."""
    tidy: Keys = []
    for frame, value in keys:
        if tidy and frame <= tidy[-1][0]:
            before = tidy.pop()
            if not tidy or tidy[-1][0] < frame - 1:
                tidy.append((frame - 1, before[1]))
        tidy.append((frame, value))
    return tidy
