# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: how strongly a character acts, in one step: its gains and the strength of its emotions."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
from bpy.props import EnumProperty

from ...core.text.translate import rpt_
from ...scene import character
from ...scene.keys import actions
from .weight_operators import PoseOperator


@dataclass(frozen=True)
class Strength:
    """Factors of the banks' movement about the portrait's own face, and of the emotions."""

    mouth: float
    pose: float
    expression: float
    emotion: float


STRENGTHS = {
    "SUBTLE": Strength(0.85, 0.6, 0.6, 0.6),
    "NATURAL": Strength(1.0, 1.0, 1.0, 1.0),
    "STRONG": Strength(1.15, 1.3, 1.3, 1.3),
    "STAGE": Strength(1.3, 1.7, 1.6, 1.7),
}


class SetStrength(PoseOperator, bpy.types.Operator):
    """Set the gains of mouth, pose and expression and the emotions' strength. Sliders with keys or drivers stay"""

    bl_idname = "edtalk.set_strength"
    bl_label = "Acting"

    strength: EnumProperty(
        name="Acting",
        items=(
            ("SUBTLE", "Subtle", "For close-ups: less of everything, the lips still clear"),
            ("NATURAL", "Natural", "The weights as they are"),
            ("STRONG", "Strong", "For faces that are small in the picture"),
            ("STAGE", "Stage", "Larger than life"),
        ),
        default="NATURAL",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_for_each(context, lambda ob: _apply(ob, STRENGTHS[self.strength]))


def _apply(ob: bpy.types.Object, strength: Strength) -> str:
    """Set what nothing animates. Return the line to report."""
    group, data = ob.edtalk, ob.animation_data
    moving = {curve.data_path for curve in actions.curves(ob)}
    moving |= {driver.data_path for driver in data.drivers} if data is not None else set()
    wanted = {
        "edtalk.gain.mouth": (group.gain, "mouth", strength.mouth),
        "edtalk.gain.pose": (group.gain, "pose", strength.pose),
        "edtalk.gain.expression": (group.gain, "expression", strength.expression),
        "edtalk.emotion.strength": (group.emotion, "strength", strength.emotion),
    }
    kept = [path for path in wanted if path in moving]
    for path, (owner, name, value) in wanted.items():
        if path not in moving:
            setattr(owner, name, value)
    ob.update_tag()
    if kept:
        return rpt_("{count} sliders with keys or drivers stay", count=len(kept))
    return rpt_("{name} acts otherwise now", name=ob.name)


class StrengthsMenu(bpy.types.Menu):
    """How strongly the character acts: gains and emotions in one step"""

    bl_idname = "EDTALK_MT_strengths"
    bl_label = "Acting"

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.operator_enum("edtalk.set_strength", "strength")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return character.is_character(context.object)


CLASSES = (SetStrength, StrengthsMenu)
