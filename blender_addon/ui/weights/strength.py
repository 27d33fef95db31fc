# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""How strongly a character acts: its gains and the strength of its emotions, set in one step by a preset. Four presets
come with the add-on; a character keeps its own (`ob.edtalk.strengths`), in the .blend and in its duplicates."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import bpy
from bpy.props import EnumProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.text.translate import iface_, n_, rpt_
from ...scene import character
from ...scene.keys import actions
from ..runtime.polls import refuse
from .weight_operators import PoseOperator

TOLERANCE = 1e-4
"""Sliders hold 32 bits: what differs less is the same."""


@dataclass(frozen=True)
class Strength:
    """Factors of the banks' movement about the portrait's own face, and of the emotions."""

    mouth: float
    pose: float
    expression: float
    emotion: float

    @classmethod
    def of(cls, ob: bpy.types.Object) -> Strength:
        """Return what a character's sliders say."""
        gain = ob.edtalk.gain
        return cls(gain.mouth, gain.pose, gain.expression, ob.edtalk.emotion.strength)

    def is_like(self, other: Strength) -> bool:
        """Return whether sliders would show the same."""
        mine, others = asdict(self), asdict(other)
        return all(abs(mine[name] - others[name]) < TOLERANCE for name in mine)


STRENGTHS = {
    "SUBTLE": Strength(0.85, 0.6, 0.6, 0.6),
    "NATURAL": Strength(1.0, 1.0, 1.0, 1.0),
    "STRONG": Strength(1.15, 1.3, 1.3, 1.3),
    "STAGE": Strength(1.3, 1.7, 1.6, 1.7),
}
ITEMS = (
    ("SUBTLE", "Subtle", "For close-ups: less of everything, the lips still clear"),
    ("NATURAL", "Natural", "The weights as they are"),
    ("STRONG", "Strong", "For faces that are small in the picture"),
    ("STAGE", "Stage", "Larger than life"),
)


def own_strengths(ob: bpy.types.Object) -> dict[str, Strength]:
    """Return a character's own presets by their names."""
    return {
        each.name: Strength(each.mouth, each.pose, each.expression, each.emotion)
        for each in ob.edtalk.strengths
    }


def shown_name(ob: bpy.types.Object) -> str:
    """Return the name of the preset that the character's sliders show, in the user's language; empty: none of them."""
    now = Strength.of(ob)
    for name, strength in own_strengths(ob).items():
        if strength.is_like(now):
            return name
    return next((iface_(name) for key, name, _ in ITEMS if STRENGTHS[key].is_like(now)), "")


class SetStrength(PoseOperator, bpy.types.Operator):
    """Set the gains of mouth, pose and expression and the emotions' strength. Sliders with keys or drivers stay"""

    bl_idname = "edtalk.set_strength"
    bl_label = "Acting"

    strength: EnumProperty(name="Acting", items=ITEMS, default="NATURAL", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_for_each(context, lambda ob: _apply(ob, STRENGTHS[self.strength]))


class ApplyStrength(PoseOperator, bpy.types.Operator):
    """Set gains and the emotions' strength to this preset of the character's. Sliders with keys or drivers stay"""

    bl_idname = "edtalk.apply_strength"
    bl_label = "Apply Acting Preset"

    name: StringProperty(name="Name", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        strength = own_strengths(context.object).get(self.name)
        return self.run_for_each(context, lambda ob: _apply(ob, _found(strength, self.name)))


class SaveStrength(PoseOperator, bpy.types.Operator):
    """Keep this character's gains and the emotions' strength as a preset. One of the same name is replaced"""

    bl_idname = "edtalk.save_strength"
    bl_label = "Save Acting Preset"

    name: StringProperty(name="Name", maxlen=63, options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.name = self.name or shown_name(context.object) or iface_("My Acting")
        return context.window_manager.invoke_props_dialog(self, confirm_text=iface_("Save"))

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.activate_init = True
        self.layout.prop(self, "name")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_for_each(context, lambda ob: _save(ob, self.name.strip()))


class RemoveStrength(PoseOperator, bpy.types.Operator):
    """Remove this preset of the character. Its sliders stay"""

    bl_idname = "edtalk.remove_strength"
    bl_label = "Remove Acting Preset"

    name: StringProperty(name="Name", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        return len(context.object.edtalk.strengths) > 0 or refuse(
            cls, "This character has no preset of its own"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_for_each(context, lambda ob: _remove(ob, self.name))


def _found(strength: Strength | None, name: str) -> Strength:
    if strength is None:
        raise EDTalkError(
            ErrorCode.BAD_WEIGHTS,
            f"The character has no acting preset “{name}”.",
            n_("Choose one from its menu Acting."),
        )
    return strength


def _save(ob: bpy.types.Object, name: str) -> str:
    """Keep a character's sliders as a preset. Return the line to report."""
    if not name:
        raise EDTalkError(ErrorCode.BAD_WEIGHTS, n_("The preset has no name."), n_("Type one."))
    kept = ob.edtalk.strengths.get(name) or ob.edtalk.strengths.add()
    kept.name = name
    for field, value in asdict(Strength.of(ob)).items():
        setattr(kept, field, value)
    return rpt_("Kept as {name}", name=name)


def _remove(ob: bpy.types.Object, name: str) -> str:
    """Remove a preset. Return the line to report."""
    _found(own_strengths(ob).get(name), name)
    ob.edtalk.strengths.remove(ob.edtalk.strengths.find(name))
    return rpt_("Removed {name}", name=name)


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
    return rpt_("The acting of {name} has changed", name=ob.name)


def draw_strength(layout: bpy.types.UILayout, ob: bpy.types.Object) -> None:
    """Draw the menu of presets, which is called like the one that the sliders show, and the buttons that keep one and
    remove it."""
    shown = shown_name(ob)
    row = layout.row(align=True)
    text = iface_("Acting: {name}", name=shown) if shown else iface_("Acting")
    row.menu("EDTALK_MT_strengths", text=text, translate=False, icon="FORCE_FORCE")
    row.operator("edtalk.save_strength", text="", icon="ADD")
    if shown in ob.edtalk.strengths:
        row.operator("edtalk.remove_strength", text="", icon="REMOVE").name = shown


class StrengthsMenu(bpy.types.Menu):
    """How strongly the character acts: gains and emotions in one step"""

    bl_idname = "EDTALK_MT_strengths"
    bl_label = "Acting"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator_enum("edtalk.set_strength", "strength")
        own = own_strengths(context.object)
        if own:
            layout.separator()
        for name in own:
            layout.operator("edtalk.apply_strength", text=name, translate=False).name = name

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return character.is_character(context.object)


CLASSES = (SetStrength, ApplyStrength, SaveStrength, RemoveStrength, StrengthsMenu)
