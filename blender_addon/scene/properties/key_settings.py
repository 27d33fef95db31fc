# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""A character's settings of how weights become keys, its gains, and its presets of them (`ob.edtalk.writing`,
`ob.edtalk.gain`, `ob.edtalk.strengths`)."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, StringProperty

from .options import OVERRIDABLE


class EDTalkWriting(bpy.types.PropertyGroup):
    """How predictions and edits are written."""

    reduce: BoolProperty(
        name="Simplify Curves",
        description="Write as few keys as the error allows. Off: a key on every frame",
        default=True,
        override=OVERRIDABLE,
    )
    error: FloatProperty(
        name="Error",
        description="How far a simplified curve may differ from the prediction, as a share of the weight's range",
        subtype="PERCENTAGE",
        default=1.0,
        min=0.01,
        soft_max=5.0,
        max=50.0,
        precision=2,
        override=OVERRIDABLE,
    )
    reach: IntProperty(
        name="Ease In/Out",
        description="Frames over which a key that EDTalk adds in the layer Tweaks fades in and out. "
        "0: the key holds until the next one",
        subtype="TIME",
        default=6,
        min=0,
        soft_max=50,
        override=OVERRIDABLE,
    )
    rate: StringProperty(
        name="Written At",
        description="Frames a second of the scene when the performance was written, as a fraction",
        override=OVERRIDABLE,
    )


def _gain(bank: str) -> object:
    return FloatProperty(
        name=f"{bank} Gain",
        description=f"Amount of the {bank.lower()}'s movement. 0: exactly the portrait, 1: the weights as they are",
        default=1.0,
        soft_min=0.0,
        soft_max=2.0,
        step=5,
        precision=2,
        override=OVERRIDABLE,
    )


class EDTalkGain(bpy.types.PropertyGroup):
    """A factor for each bank, about the portrait's own weights."""

    mouth: _gain("Mouth")
    pose: _gain("Pose")
    expression: _gain("Expression")


class EDTalkStrength(bpy.types.PropertyGroup):
    """A preset of how strongly the character acts: `name`, a gain for each bank, and the strength of emotions."""

    mouth: FloatProperty(default=1.0, override=OVERRIDABLE)
    pose: FloatProperty(default=1.0, override=OVERRIDABLE)
    expression: FloatProperty(default=1.0, override=OVERRIDABLE)
    emotion: FloatProperty(default=1.0, override=OVERRIDABLE)


CLASSES = (EDTalkWriting, EDTalkGain, EDTalkStrength)
