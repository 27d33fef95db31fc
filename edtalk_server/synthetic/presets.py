"""The eight emotions: as shapes of the face kit, and as the starter's weights.

Each emotion follows the literature on facial action coding, at a strength that still looks like a person and not like a
mask. With them the presets of a bundle whose weights have no names are measured (`evaluation.meaning.emotions`).
`PRESETS` are those of the starter's named weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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


def _preset(**weights: float) -> dict[str, float]:
    """Return a preset: all weights that emotions move in the expression bank, and those of the mouth that it needs."""
    return dict.fromkeys(_FACE, 0.0) | weights


_FACE = (
    "smile",
    "frown",
    "brow_raise",
    "brow_furrow",
    "blink_left",
    "blink_right",
    "squint",
    "sneer",
)
PRESETS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "angry": _preset(
            frown=0.25, brow_furrow=1.0, squint=0.7, sneer=0.15, press=0.9, roll_lower=0.5, shrug_lower=0.3
        ),
        "contempt": _preset(
            smile=0.1,
            blink_left=0.25,
            blink_right=0.25,
            mouth_left=0.3,
            press=0.3,
            dimple=1.0,
            stretch=0.2,
            stretch_side=1.0,
        ),
        "disgusted": _preset(
            frown=0.7,
            brow_furrow=0.8,
            blink_left=0.2,
            blink_right=0.2,
            squint=0.8,
            sneer=0.8,
            shrug_lower=0.6,
            upper_lip_up=0.3,
        ),
        "fear": _preset(
            frown=0.2,
            brow_raise=0.8,
            brow_furrow=0.8,
            blink_left=-0.9,
            blink_right=-0.9,
            jaw_open=0.1,
            lower_lip_down=0.5,
            stretch=0.9,
        ),
        "happy": _preset(smile=1.0, squint=0.7, upper_lip_up=0.2, lower_lip_down=0.1, dimple=0.3),
        "neutral": _preset(),
        "sad": _preset(
            frown=1.0, brow_raise=0.55, brow_furrow=1.0, blink_left=0.35, blink_right=0.35, shrug_lower=0.6
        ),
        "surprised": _preset(brow_raise=1.0, blink_left=-1.0, blink_right=-1.0, jaw_open=0.5),
    }
)
"""Emotion -> starter weight at intensity 1: what people recognise on photographs, chosen by eye on real portraits after
the literature on facial action coding. Mouth weights belong to some of them, and `neutral` leaves these to the speech.
"""
