# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""A character's emotions (`ob.edtalk.emotion`): sliders that are mixed over the weights when these are read."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
from bpy.props import FloatProperty, StringProperty

from shared_protocol.emotions import EMOTIONS, NEUTRAL

from .options import OVERRIDABLE


def _sliders() -> Iterator[tuple[str, object]]:
    for name in EMOTIONS:
        text = (
            "Removes the portrait's own expression"
            if name == NEUTRAL
            else f"Intensity of the emotion {name}, on top of the weights"
        )
        yield (
            name,
            FloatProperty(
                name=name.capitalize(),
                description=text,
                min=0.0,
                max=1.0,
                step=1,
                precision=3,
                override=OVERRIDABLE,
            ),
        )


class EDTalkEmotion(bpy.types.PropertyGroup):
    """Intensities of the eight emotions."""

    strength: FloatProperty(
        name="Strength",
        description="Factor on all emotions together",
        default=1.0,
        min=0.0,
        soft_max=1.0,
        max=2.0,
        precision=2,
        override=OVERRIDABLE,
    )
    blend: FloatProperty(
        name="Blend",
        description="Seconds of blending from one emotion to the next, for emotions from markers and the transcript",
        subtype="TIME_ABSOLUTE",
        default=0.4,
        min=0.0,
        soft_max=3.0,
        override=OVERRIDABLE,
    )
    predicted: StringProperty(
        name="Predicted",
        description="Fingerprint of the emotions' keys as the last prediction left them",
        override=OVERRIDABLE,
    )
    presets: StringProperty(
        name="Presets", description="The bundle's expressions (JSON)", override=OVERRIDABLE
    )


EDTalkEmotion.__annotations__.update(_sliders())

CLASSES = (EDTalkEmotion,)
