"""The eight emotions: their names and words, and how intensities become weights.

Intensities [.., 8] are columns in the order of `EMOTIONS`. A bundle's presets say which weights show an emotion; mixing
adds them to a performance, the same way in the add-on and in `edtalk render`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from .banks import Bank, BankLayout

Weights = npt.NDArray[np.float32]
Presets = Mapping[str, Mapping[str, float]]
"""The weights of each emotion at intensity 1, by the identifiers of the bases."""
NEUTRAL = "neutral"
EMOTIONS = ("happy", "sad", "angry", "surprised", "fear", "disgusted", "contempt", NEUTRAL)
"""The eight presets of EDTalk, and so the sliders that a character has."""
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
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_PERCENT_FROM = 10.0
"""A number from here on is a percentage, also without its sign: nobody means ten times as happy."""
_ALIKE = 0.75
"""How much a misspelt word is like the one that was meant (0 to 1)."""


@dataclass(frozen=True)
class Cue:
    """The emotions from `time` (in seconds) on: a (name, intensity 0 to 1) each; all others are 0."""

    time: float
    emotions: tuple[tuple[str, float], ...] = ()


def parse(text: str) -> tuple[tuple[str, float], ...] | None:
    """Return the emotions in "happy", "sad 0.5", "sad 0,5", "angry 70%", "angry 70" or "happy 0.4 + surprised 0.3";
    empty for "none".

    None when the text names no emotion. Intensities above 1 count as 1 (see `exceeds`).
    """
    terms = _terms(text)
    if terms is None:
        return None
    known = [(name, value) for name, value in terms if name in EMOTIONS]
    others = [(name, value) for name, value in terms if name not in EMOTIONS]
    if any(name not in NOTHING or value is not None for name, value in others):
        return None
    return tuple({name: min(1.0 if value is None else value, 1.0) for name, value in known}.items())


def exceeds(text: str) -> bool:
    """Return whether a text names an emotion with an intensity above 1, which counts as 1."""
    is_known = parse(text) is not None
    return is_known and any(value is not None and value > 1.0 for _name, value in _terms(text) or ())


def meant(text: str) -> str:
    """Return the emotion that a text seems to misspell, such as "happy" for "hapy 0.7"; empty for other texts."""
    if parse(text) is not None:
        return ""
    words = (*EMOTIONS, *_OTHER_WORDS)
    near = [get_close_matches(word, words, 1, _ALIKE) for word, _value in _terms(text) or ()]
    found = near[0][0] if near and all(near) else ""
    return _OTHER_WORDS.get(found, found)


def _terms(text: str) -> list[tuple[str, float | None]] | None:
    """Return the words of a text, those for emotions by our names, each with its number as a share (None: without
    one); None for a text of another form."""
    terms: list[tuple[str, float | None]] = []
    for term in re.split(r"[+,&]", _DECIMAL_COMMA.sub(".", text.strip().lower())):
        match = _TERM.fullmatch(term.strip())
        if match is None:
            return None
        word, number, percent = match.groups()
        terms.append((_OTHER_WORDS.get(word, word), _share(number, bool(percent)) if number else None))
    return terms


def _share(number: str, is_percent: bool) -> float:
    value = float(number)
    return value / 100 if is_percent or value >= _PERCENT_FROM else value


# --- mixing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Mixer:
    """The values of a character's bundle and portrait that mixing needs.

    `rest` (the portrait's own weights), `minimum`, `maximum`: [channels]. `shift`: what each emotion at intensity 1
    adds, [emotions, channels]. `bank`: the number of each channel's bank, [channels].
    """

    rest: Weights
    minimum: Weights
    maximum: Weights
    shift: Weights
    bank: npt.NDArray[np.intp]

    def mix(self, weights: Weights, gains: Weights, intensities: Weights) -> Weights:
        """Return the weights to render, [.., channels].

        `weights` [.., channels] are the animated ones; `gains` [banks]: 1 keeps the weights, 0 gives exactly the
        portrait; `intensities` [.., emotions]. Emotions push no weight beyond the bundle's range; a weight
        already beyond it stays.
        """
        gain = gains[self.bank]
        base = np.where(gain == 1, weights, self.rest + gain * (weights - self.rest)).astype(np.float32)
        if not intensities.any():
            return base
        low, high = np.minimum(self.minimum, base), np.maximum(self.maximum, base)
        return np.clip(base + intensities @ self.shift, low, high).astype(np.float32)


FULL_GAINS = np.ones(len(Bank), np.float32)
"""Gains with which `Mixer.mix` keeps all animated weights."""


def make_mixer(layout: BankLayout, rest: Weights, presets: Presets) -> Mixer:
    """Return the mixer of a character. Emotions that its bundle lacks add nothing."""
    bases, banks = layout.bases, list(Bank)
    return Mixer(
        np.asarray(rest, np.float32),
        np.array([basis.minimum for basis in bases], np.float32),
        np.array([basis.maximum for basis in bases], np.float32),
        np.array([_shift(name, layout, rest, presets) for name in EMOTIONS], np.float32),
        np.array([banks.index(basis.bank) for basis in bases], np.intp),
    )


def _shift(name: str, layout: BankLayout, rest: Weights, presets: Presets) -> Weights:
    """Return what an emotion adds at intensity 1, [channels]: its preset minus the neutral face.

    Neutral itself removes the portrait's own expression, so neutral plus another emotion is exactly the other's preset.
    """
    shift = np.zeros(len(layout), np.float32)
    neutral = presets.get(NEUTRAL, {})
    for i, basis in enumerate(layout.bases):
        if basis.identifier in presets.get(name, {}):
            less = rest[i] if name == NEUTRAL else neutral.get(basis.identifier, 0.0)
            shift[i] = presets[name][basis.identifier] - less
    return shift
