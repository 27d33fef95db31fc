# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators on the weights at the current frame: key, reset, mirror, copy and paste, expressions of the bundle."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import bpy
from bpy.props import EnumProperty, StringProperty

from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError

from ...core.text.translate import rpt_
from ...core.weights import mirror, mixing, poses
from ...scene import character
from ...scene.poses import posing
from ..runtime.task_operator import refuse, report_error
from .editing import refuse_without_character

if TYPE_CHECKING:
    from bpy.types import Operator
else:
    Operator = object

BANKS = (
    ("ALL", "All", "All weights"),
    ("mouth", "Mouth", "The mouth's weights"),
    ("pose", "Pose", "The head's weights"),
    ("expression", "Expression", "The expression's weights"),
)


class PoseOperator(Operator):
    """Mix-in: an operator on the active character at the current frame, as one undo step."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return refuse_without_character(cls, context)

    def report_of(self, work: Callable[[], object]) -> set[str]:
        """Do it, and report what it says, or why it cannot be."""
        try:
            self.report({"INFO"}, str(work()))
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        return {"FINISHED"}


class BankOperator(PoseOperator):
    """Mix-in: the same for a bank, or for all."""

    bank: EnumProperty(name="Bank", items=BANKS, default="ALL")

    @property
    def banks(self) -> tuple[Bank, ...]:
        """The banks that are meant."""
        return tuple(Bank) if self.bank == "ALL" else (Bank(self.bank),)

    def strike(self, context: bpy.types.Context, pose: Callable[..., posing.Pose]) -> set[str]:
        """Let the character take a pose of the banks."""
        ob = context.object
        return self.report_of(lambda: posing.strike(ob, context.scene, pose(ob, self.banks)))


class KeyWeights(BankOperator, bpy.types.Operator):
    """Key these weights at the current frame with the values they show"""

    bl_idname = "edtalk.key_weights"
    bl_label = "Key Weights"

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = context.object
        channels = posing.channels_by_identifier(ob, self.banks).values()
        paths = [character.data_path(channel) for channel in channels]
        return self.report_of(
            lambda: rpt_("{count} weights keyed", count=posing.key(ob, context.scene, paths))
        )


class ResetWeights(BankOperator, bpy.types.Operator):
    """Set these weights to the portrait's own; where they are animated, with keys at the current frame"""

    bl_idname = "edtalk.reset_weights"
    bl_label = "Reset to Portrait"

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.strike(context, posing.at_rest)


class MirrorWeights(BankOperator, bpy.types.Operator):
    """Exchange left and right of these weights; where they are animated, with keys at the current frame"""

    bl_idname = "edtalk.mirror_weights"
    bl_label = "Mirror"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if mirror.find_mirror(character.layout_of(context.object)) is None:
            return refuse(cls, "This bundle's weights have numbers for names: nothing tells left from right")
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.strike(context, posing.mirrored)


def clipboard() -> str:
    """The text on the system's clipboard; empty without a window."""
    return str(bpy.context.window_manager.clipboard)


def put_on_clipboard(text: str) -> None:
    """Put a text on the system's clipboard."""
    bpy.context.window_manager.clipboard = text


class CopyPose(BankOperator, bpy.types.Operator):
    """Copy the weights as they show now, as text, for this or another character, in this or another file"""

    bl_idname = "edtalk.copy_pose"
    bl_label = "Copy Pose"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return character.is_character(context.object) or refuse(cls, "Select a character")

    def execute(self, context: bpy.types.Context) -> set[str]:
        pose = posing.taken(context.object, self.banks)
        put_on_clipboard(poses.to_text(pose))
        self.report({"INFO"}, rpt_("{count} weights copied", count=len(pose)))
        return {"FINISHED"}


class PastePose(PoseOperator, bpy.types.Operator):
    """Set the weights that were copied; where they are animated, with keys at the current frame"""

    bl_idname = "edtalk.paste_pose"
    bl_label = "Paste Pose"

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob, scene = context.object, context.scene
        return self.report_of(lambda: posing.strike(ob, scene, poses.from_text(clipboard())))


class ApplyPreset(PoseOperator, bpy.types.Operator):
    """Set and key an expression of the bundle at the current frame, as weights"""

    bl_idname = "edtalk.apply_preset"
    bl_label = "Key Expression"

    preset: StringProperty(name="Expression", description="Its name in the bundle", default="happy")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and refuse_without_presets(cls, context.object)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.report_of(self._apply(context.object, context.scene))

    def _apply(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> Callable[[], str]:
        def apply() -> str:
            pose = posing.preset(ob, self.preset)
            posed, channels = posing.strike(ob, scene, pose), posing.channels_by_identifier(ob)
            rest = [character.data_path(channels[name]) for name in pose if name in channels]
            if not posed.keyed:
                posing.key(ob, scene, rest)
            name = rpt_(self.preset.capitalize())
            return f"{name}: {rpt_('{count} weights keyed', count=posed.count)}"

        return apply


class Neutralise(PoseOperator, bpy.types.Operator):
    """Take the portrait's own expression away, in the whole shot: sets the emotion Neutral, whatever the weights are"""

    bl_idname = "edtalk.neutralise"
    bl_label = "Neutralise Expression"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if mixing.NEUTRAL not in mixing.presets_from_json(context.object.edtalk.emotion.presets):
            return refuse(cls, "This bundle does not say what a neutral face is")
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        def neutralise() -> str:
            posing.set_slider(context.object, context.scene, mixing.NEUTRAL, 1.0)
            return rpt_("The emotion Neutral is set")

        return self.report_of(neutralise)


def refuse_without_presets(cls: type[bpy.types.Operator], ob: bpy.types.Object) -> bool:
    """For polls: True when the character's bundle has expressions."""
    if mixing.presets_from_json(ob.edtalk.emotion.presets):
        return True
    return refuse(cls, "This character's bundle has no expressions (after an update: predict or bake once)")


CLASSES = (
    KeyWeights,
    ResetWeights,
    MirrorWeights,
    CopyPose,
    PastePose,
    ApplyPreset,
    Neutralise,
)
