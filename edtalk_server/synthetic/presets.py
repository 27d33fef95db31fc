"""The eight emotions as shapes of the face kit, and the nearest expression weights.

Each emotion follows the literature on facial action coding, at a strength that still looks like a person and not like a
mask. `nominal_presets` is the linear reading of those shapes; a bundle's own presets are measured
(`evaluation.meaning.emotions`), because a network renders some weights stronger than others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from edtalk_server.synthetic.controls import CONTROLS, EXPRESSION, STARTER_LAYOUT, shape_map

Shapes = Mapping[str, float]


def _both(**amounts: float) -> dict[str, float]:
    return {f"{name}_{side}": amount for name, amount in amounts.items() for side in "LR"}


EMOTIONS: Mapping[str, Shapes] = MappingProxyType(
    {
        "angry": {
            **_both(browDown=0.9, eyeSquint=0.45, noseSneer=0.3, mouthPress=0.5, mouthFrown=0.35),
            "mouthRollLower": 0.2,
        },
        "contempt": {
            **_both(eyeSquint=0.3, noseSneer=0.15),
            "mouthSmile_L": 0.5,
            "mouthDimple_L": 0.7,
            "cheekSquint_L": 0.25,
            "browOuterUp_L": 0.3,
        },
        "disgusted": {
            **_both(
                noseSneer=0.9, browDown=0.5, eyeSquint=0.55, mouthFrown=0.4, mouthUpperUp=0.4, cheekSquint=0.3
            ),
            "mouthShrugLower": 0.3,
        },
        "fear": {
            **_both(
                browInnerUp=1.0,
                browOuterUp=0.6,
                browDown=0.35,
                eyeWide=0.7,
                mouthStretch=0.5,
                mouthFrown=0.25,
            ),
            "jawOpen": 0.15,
        },
        "happy": {**_both(mouthSmile=0.85, cheekSquint=0.5, eyeSquint=0.3, browInnerUp=0.2, browOuterUp=0.2)},
        "neutral": {},
        "sad": {
            **_both(browInnerUp=0.8, browDown=0.4, mouthFrown=0.7, eyeBlink=0.25),
            "mouthShrugLower": 0.35,
        },
        "surprised": {**_both(browInnerUp=1.0, browOuterUp=1.0, eyeWide=0.8), "jawOpen": 0.4},
    }
)
"""Kit shape -> amount, 1 is the kit's full shape."""


def nominal_presets() -> dict[str, dict[str, float]]:
    """Return the expression weights (without gaze) that come nearest to each emotion's shapes, by the controls'
    definition."""
    used = {
        name for control in CONTROLS for name, _ in (*control.positive, *control.negative, *control.reading)
    }
    names = sorted(used | {name for shapes in EMOTIONS.values() for name in shapes})
    shapes_to_weights = shape_map(names)
    presets = {}
    for emotion, shapes in EMOTIONS.items():
        weights = shapes_to_weights.to_weights(
            np.array([shapes.get(name, 0.0) for name in names], np.float32)
        )
        presets[emotion] = {
            basis.identifier: round(float(value), 2) + 0.0
            for basis, value in zip(STARTER_LAYOUT.bases[EXPRESSION], weights[EXPRESSION], strict=True)
            if not basis.identifier.startswith("gaze")
        }
    return presets
