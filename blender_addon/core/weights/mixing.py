# SPDX-License-Identifier: GPL-3.0-or-later
"""Mixing animated weights into rendered ones: a gain for each bank, and emotions on top. No bpy here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from shared_protocol.emotions import Mixer, Presets, Weights, make_mixer

from . import layouts


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
