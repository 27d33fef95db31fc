# SPDX-License-Identifier: GPL-3.0-or-later
"""Mixing animated weights into rendered ones: a gain for each bank, and emotions on top. No bpy here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from shared_protocol.banks import Bank, BankLayout

from . import layouts

Weights = npt.NDArray[np.float32]
Presets = Mapping[str, Mapping[str, float]]
NEUTRAL = "neutral"
EMOTIONS = ("happy", "sad", "angry", "surprised", "fear", "disgusted", "contempt", NEUTRAL)
"""The eight presets of EDTalk, and so the sliders that a character has."""


def presets_to_json(presets: Presets) -> str:
    """Return a bundle's presets as text, to keep in a .blend."""
    return json.dumps({name: dict(values) for name, values in presets.items()}, separators=(",", ":"))


def presets_from_rows(rows: object) -> dict[str, dict[str, float]]:
    """Return the presets in a bundle's description, without invalid ones."""
    presets: dict[str, dict[str, float]] = {}
    for name, values in rows.items() if isinstance(rows, Mapping) else ():
        if isinstance(values, Mapping) and all(isinstance(value, int | float) for value in values.values()):
            presets[str(name)] = {str(key): float(value) for key, value in values.items()}
    return presets


@lru_cache(maxsize=64)
def presets_from_json(text: str) -> dict[str, dict[str, float]]:
    """Return the presets in a text of `presets_to_json`; none for an empty or damaged text."""
    try:
        return presets_from_rows(json.loads(text))
    except ValueError:
        return {}


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
        """Return the weights to render, [channels].

        `weights` [channels] are the animated ones; `gains` [banks]: 1 keeps the weights, 0 gives exactly the portrait;
        `intensities` [emotions]. Emotions push no weight beyond the bundle's range; a weight already beyond it stays.
        """
        gain = gains[self.bank]
        base = np.where(gain == 1, weights, self.rest + gain * (weights - self.rest)).astype(np.float32)
        if not intensities.any():
            return base
        low, high = np.minimum(self.minimum, base), np.maximum(self.maximum, base)
        return np.clip(base + intensities @ self.shift, low, high).astype(np.float32)


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


@lru_cache(maxsize=64)
def mixer_from_texts(layout: str, rest: str, presets: str) -> Mixer:
    """Return the mixer for the JSON texts that a .blend keeps about a character."""
    bases = layouts.layout_from_json(layout)
    return make_mixer(bases, rest_from_json(rest, len(bases)), presets_from_json(presets))


def rest_from_json(text: str, channels: int) -> Weights:
    """Return the portrait's own weights that a .blend keeps, [channels]; zeros for any other text."""
    try:
        values = np.array(json.loads(text), np.float32)
    except (ValueError, TypeError):
        values = np.empty(0, np.float32)
    return values if values.shape == (channels,) else np.zeros(channels, np.float32)
