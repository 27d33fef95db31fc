"""The eight emotions of the starter bundle, as expression weights in natural units (see `controls`).

What is not named stays. The values follow the action units that the literature on facial expression gives for each
emotion (brows, lids, corners of the mouth), at a strength that still looks like a person and not like a mask.
"""

from __future__ import annotations

from collections.abc import Mapping

PRESETS: Mapping[str, Mapping[str, float]] = {
    "angry": {
        "smile": 0.0,
        "frown": 0.35,
        "brow_furrow": 0.9,
        "brow_raise": 0.0,
        "squint": 0.45,
        "sneer": 0.3,
    },
    "contempt": {"smile": 0.25, "frown": 0.1, "brow_raise": 0.15, "squint": 0.35, "sneer": 0.35},
    "disgusted": {"smile": 0.0, "frown": 0.4, "brow_furrow": 0.5, "squint": 0.55, "sneer": 0.9},
    "fear": {
        "smile": 0.0,
        "frown": 0.25,
        "brow_raise": 0.8,
        "brow_furrow": 0.35,
        "blink_left": -0.6,
        "blink_right": -0.6,
    },
    "happy": {"smile": 0.85, "frown": 0.0, "brow_raise": 0.2, "squint": 0.3},
    "neutral": {
        "smile": 0.0,
        "frown": 0.0,
        "brow_raise": 0.0,
        "brow_furrow": 0.0,
        "squint": 0.0,
        "sneer": 0.0,
    },
    "sad": {
        "smile": 0.0,
        "frown": 0.7,
        "brow_raise": 0.4,
        "brow_furrow": 0.4,
        "blink_left": 0.25,
        "blink_right": 0.25,
        "gaze_up": -0.3,
    },
    "surprised": {"smile": 0.0, "frown": 0.0, "brow_raise": 1.0, "blink_left": -0.8, "blink_right": -0.8},
}
