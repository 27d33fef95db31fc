# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the weights: layer, poses, and the sliders of each bank."""

from __future__ import annotations

import bpy

from shared_protocol.banks import Bank, Basis

from ...core.text.translate import iface_, n_
from ...core.weights.face_handles import handles_of
from ...scene import character
from ...scene.keys import layers
from ...scene.poses import pose_assets
from ..runtime.preferences import preferences
from ..sidebar import (
    PICTURE,
    CharacterSubPanel,
    draw_show_switch,
    draw_words,
    picture_grid,
    side_by_side,
)
from .strength import draw_strength

MOST_POSES = 12
"""Poses that the panel shows; the Asset Browser has all."""


class WeightsPanel(CharacterSubPanel, bpy.types.Panel):
    """The layer that keys go to, and operators on all weights at the current frame."""

    bl_idname = "EDTALK_PT_weights"
    bl_label = "Weights"

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = self.layout, context.object
        draw_show_switch(layout, ob)
        self._draw_layers(layers.layer_state(ob))
        column = layout.column(align=True)
        _draw_tools(side_by_side(column, "Key", "Reset", "Mirror"), "ALL", with_text=True)
        _draw_controls(layout, ob)

    def _draw_layers(self, state: layers.LayerState) -> None:
        layout = self.layout
        column = layout.column(align=True)
        column.label(text="Layer")
        row = side_by_side(column, "Tweaks", "Prediction")
        is_on_top = state.on_top and not state.hiding
        row.operator("edtalk.edit_on_top", text="Tweaks", icon="NLA_PUSHDOWN", depress=is_on_top)
        row.operator("edtalk.edit_performance", text="Prediction", icon="FCURVE", depress=bool(state.tweaked))
        if state.tweaked:
            text = "{action} is open in the editors; the layer Tweaks is off until you return to it"
            draw_words(layout, iface_(text, action=state.tweaked), "INFO")
        elif state.hiding and state.performance:
            text = "Keys in {action} replace the prediction. Choose Tweaks to keep them and add new keys on top of both"
            draw_words(layout, iface_(text, action=state.hiding), "INFO")


def _draw_controls(layout: bpy.types.UILayout, ob: bpy.types.Object) -> None:
    """Draw the switches of the handles on the face; words where this bundle's weights can have none."""
    chosen, row = preferences(), layout.row(align=True)
    row.prop(chosen, "face_controls", toggle=True, icon="PIVOT_CURSOR")
    side = row.row(align=True)
    side.active = chosen.face_controls
    side.prop(chosen, "both_sides", text="", icon="MOD_MIRROR")
    if chosen.face_controls and not handles_of(character.layout_of(ob)):
        draw_words(
            layout, iface_("This bundle's weights have no names, so there are no handles for them"), "INFO"
        )


def _draw_tools(row: bpy.types.UILayout, bank: str, with_text: bool = False) -> None:
    tools = (
        ("edtalk.key_weights", n_("Key"), "KEY_HLT"),
        ("edtalk.reset_weights", n_("Reset"), "LOOP_BACK"),
        ("edtalk.mirror_weights", n_("Mirror"), "MOD_MIRROR"),
    )
    for operator, text, icon in tools:
        row.operator(operator, text=text if with_text else "", icon=icon).bank = bank


class BankPanel(CharacterSubPanel):
    """The sliders of one bank."""

    bl_parent_id = "EDTALK_PT_weights"
    bl_options = {"DEFAULT_CLOSED"}
    bank: Bank

    def draw_header_preset(self, _context: bpy.types.Context) -> None:
        """Draw the tools for this bank at the right of its title."""
        _draw_tools(self.layout.row(align=True), self.bank.value)

    def draw(self, context: bpy.types.Context) -> None:
        layout, group = self.layout, context.object.edtalk
        declared = group.bl_rna.properties
        layout.use_property_split = True  # with it each slider has its keying dot
        column = layout.column(align=True)
        named = zip(
            character.channels_of(context.object), character.layout_of(context.object).bases, strict=True
        )
        for channel, basis in named:
            if basis.bank is self.bank:
                column.prop(group, channel, text=basis.name, slider=_fits(declared[channel], basis))
        layout.prop(group.gain, self.bank.value, text="Gain", slider=True)


def _fits(declared: bpy.types.FloatProperty, basis: Basis) -> bool:
    """Return whether a slider serves: not where the property has the range of another bundle's weight."""
    return bool(declared.soft_min <= basis.minimum and basis.maximum <= declared.soft_max)


class PosesPanel(CharacterSubPanel, bpy.types.Panel):
    """Whole faces: copied, pasted, and kept."""

    bl_idname = "EDTALK_PT_poses"
    bl_label = "Poses"
    bl_parent_id = "EDTALK_PT_weights"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        row = side_by_side(column, "Copy Pose", "Paste Pose")
        row.operator("edtalk.copy_pose", icon="COPYDOWN")
        row.operator("edtalk.paste_pose", icon="PASTEDOWN")
        row = column.row(align=True)
        row.operator("edtalk.keep_pose", icon="ADD")
        row.menu("EDTALK_MT_poses", text="", icon="DOWNARROW_HLT")
        column.operator("edtalk.make_pose_assets", icon="ASSET_MANAGER")
        if shown := pose_assets.pictured_poses()[:MOST_POSES]:
            grid = picture_grid(self.layout, [name for name, _ in shown])
            for name, icon in shown:
                cell = grid.column(align=True)
                cell.template_icon(icon_value=icon, scale=PICTURE)
                cell.operator("edtalk.apply_pose", text=name, translate=False).action = name


class KeysPanel(CharacterSubPanel, bpy.types.Panel):
    """How keys are written, and where they are in time."""

    bl_idname = "EDTALK_PT_keys"
    bl_label = "Keys and Acting"
    bl_parent_id = "EDTALK_PT_weights"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        writing, column = context.object.edtalk.writing, self.layout.column(align=True)
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(writing, "reach")
        row = column.split(factor=0.68, align=True)
        row.use_property_split = False
        row.prop(writing, "reduce")
        error = row.row(align=True)
        error.active = writing.reduce
        error.prop(writing, "error", text="")
        column.operator("edtalk.retime_keys", icon="MOD_TIME")
        draw_strength(column, context.object)


class MouthPanel(BankPanel, bpy.types.Panel):
    """The mouth's weights."""

    bl_idname = "EDTALK_PT_mouth"
    bl_label = "Mouth"
    bank = Bank.MOUTH


class PosePanel(BankPanel, bpy.types.Panel):
    """The head's weights."""

    bl_idname = "EDTALK_PT_pose"
    bl_label = "Pose"
    bank = Bank.POSE


class ExpressionPanel(BankPanel, bpy.types.Panel):
    """The expression's weights."""

    bl_idname = "EDTALK_PT_expression"
    bl_label = "Expression"
    bank = Bank.EXPRESSION


CLASSES = (WeightsPanel, MouthPanel, PosePanel, ExpressionPanel, PosesPanel, KeysPanel)
