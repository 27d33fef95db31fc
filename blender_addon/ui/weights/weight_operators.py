# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators on the weights at the current frame: key, reset, mirror, copy and paste, expressions of the bundle."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import bpy
from bpy.props import EnumProperty, StringProperty

from shared_protocol.banks import Bank
from shared_protocol.emotions import NEUTRAL
from shared_protocol.errors import EDTalkError

from ...core.text.translate import rpt_
from ...core.weights import mirror, mixing, poses
from ...scene import character
from ...scene.poses import posing
from ..runtime.polls import has_editable_character, refuse, report_error
from ..selection import edited_characters

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
        return has_editable_character(cls, context)

    def run_and_report(self, work: Callable[[], object]) -> set[str]:
        """Do the work. Report what it returns, or why it failed."""
        try:
            self.report({"INFO"}, str(work()))
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        return {"FINISHED"}

    def run_for_each(
        self, context: bpy.types.Context, work: Callable[[bpy.types.Object], object]
    ) -> set[str]:
        """Do the work on each of the edited characters. Report what it returns, or why it failed for one."""
        edited, said, failed = edited_characters(context), list[str](), list[EDTalkError]()
        for ob in edited:
            try:
                words = str(work(ob))
            except EDTalkError as error:  # the others are edited all the same
                failed.append(error)
            else:
                said.append(words if len(edited) == 1 else f"{ob.name}: {words}")
        if said:
            self.report({"INFO"}, "; ".join(said))
        if failed:
            report_error(self, failed[0].cause, failed[0].fix)
        return {"FINISHED"} if said else {"CANCELLED"}


class BankOperator(PoseOperator):
    """Mix-in: a `PoseOperator` on the weights of one bank, or all."""

    bank: EnumProperty(name="Bank", items=BANKS, default="ALL")

    @property
    def banks(self) -> tuple[Bank, ...]:
        """Return the chosen banks."""
        return tuple(Bank) if self.bank == "ALL" else (Bank(self.bank),)

    def apply(self, context: bpy.types.Context, pose: Callable[..., posing.Pose]) -> set[str]:
        """Apply a pose of the chosen banks."""
        return self.run_for_each(
            context, lambda ob: posing.apply_pose(ob, context.scene, pose(ob, self.banks))
        )


class KeyWeights(BankOperator, bpy.types.Operator):
    """Insert keys for these weights at the current frame"""

    bl_idname = "edtalk.key_weights"
    bl_label = "Key Weights"

    def execute(self, context: bpy.types.Context) -> set[str]:
        def key(ob: bpy.types.Object) -> str:
            channels = posing.channels_by_identifier(ob, self.banks).values()
            paths = [character.data_path(channel) for channel in channels]
            return rpt_("{count} weights keyed", count=posing.insert_keys(ob, context.scene, paths))

        return self.run_for_each(context, key)


class ResetWeights(BankOperator, bpy.types.Operator):
    """Reset these weights to the portrait's own. Animated weights get keys at the current frame"""

    bl_idname = "edtalk.reset_weights"
    bl_label = "Reset to Portrait"

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.apply(context, posing.rest_pose)


class MirrorWeights(BankOperator, bpy.types.Operator):
    """Swap left and right of these weights. Animated weights get keys at the current frame"""

    bl_idname = "edtalk.mirror_weights"
    bl_label = "Mirror"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if mirror.find_mirror(character.layout_of(context.object)) is None:
            return refuse(cls, "The weights of this bundle have no names: left and right are not known")
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.apply(context, posing.mirror_pose)


def clipboard() -> str:
    """Return the text on the system's clipboard; empty without a window."""
    return str(bpy.context.window_manager.clipboard)


def put_on_clipboard(text: str) -> None:
    """Put a text on the system's clipboard."""
    bpy.context.window_manager.clipboard = text


class CopyPose(BankOperator, bpy.types.Operator):
    """Copy the pose of the sliders as text, for this or another character, in this or another file"""

    bl_idname = "edtalk.copy_pose"
    bl_label = "Copy Pose"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return character.is_character(context.object) or refuse(cls, "Select a character")

    def execute(self, context: bpy.types.Context) -> set[str]:
        pose = posing.read_pose(context.object, self.banks)
        put_on_clipboard(poses.to_text(pose))
        self.report({"INFO"}, rpt_("{count} weights copied", count=len(pose)))
        return {"FINISHED"}


class PastePose(PoseOperator, bpy.types.Operator):
    """Apply the copied pose. Animated weights get keys at the current frame"""

    bl_idname = "edtalk.paste_pose"
    bl_label = "Paste Pose"

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_for_each(
            context, lambda ob: posing.apply_pose(ob, context.scene, poses.from_text(clipboard()))
        )


class ApplyPreset(PoseOperator, bpy.types.Operator):
    """Set and key an expression of the bundle at the current frame, as weights"""

    bl_idname = "edtalk.apply_preset"
    bl_label = "Key Expression"

    preset: StringProperty(name="Expression", description="Its name in the bundle", default="happy")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and has_presets(cls, context.object)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_for_each(context, lambda ob: self._apply(ob, context.scene))

    def _apply(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> str:
        pose = posing.preset_pose(ob, self.preset)
        posed, channels = posing.apply_pose(ob, scene, pose), posing.channels_by_identifier(ob)
        paths = [character.data_path(channels[name]) for name in pose if name in channels]
        if not posed.keyed:
            posing.insert_keys(ob, scene, paths)
        name = rpt_(self.preset.capitalize())
        return f"{name}: {rpt_('{count} weights keyed', count=posed.count)}"


class Neutralise(PoseOperator, bpy.types.Operator):
    """Remove the portrait's own expression from the whole shot: sets the emotion Neutral, not the weights"""

    bl_idname = "edtalk.neutralise"
    bl_label = "Neutralise Expression"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if NEUTRAL not in mixing.presets_from_json(context.object.edtalk.emotion.presets):
            return refuse(cls, "This bundle has no neutral face")
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        def neutralise(ob: bpy.types.Object) -> str:
            posing.set_slider(ob, context.scene, NEUTRAL, 1.0)
            return rpt_("The emotion Neutral is set")

        return self.run_for_each(context, neutralise)


def has_presets(cls: type[bpy.types.Operator], ob: bpy.types.Object) -> bool:
    """Return whether the character's bundle has expressions; say what to do otherwise."""
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
