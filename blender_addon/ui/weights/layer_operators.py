# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators: choose the layer that keys go to, on top of the prediction or into it."""

from __future__ import annotations

import bpy

from shared_protocol.errors import EDTalkError

from ...scene.keys import layers
from ..runtime.polls import has_editable_character, refuse, report_error


class EditOnTop(bpy.types.Operator):
    """Edit your own keys on top of the prediction. Predict never changes them"""

    bl_idname = "edtalk.edit_on_top"
    bl_label = "Layer: Tweaks"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_editable_character(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        layers.edit_on_top(context.object)
        return {"FINISHED"}


class EditPerformance(bpy.types.Operator):
    """Edit the predicted keys themselves. Before Predict replaces keys that you edited, it saves them as a copy"""

    bl_idname = "edtalk.edit_performance"
    bl_label = "Layer: Prediction"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context):
            return False
        state = layers.layer_state(context.object)
        return state.performance or bool(state.tweaked) or refuse(cls, "Predict a performance first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            layers.edit_performance(context.object)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (EditOnTop, EditPerformance)
