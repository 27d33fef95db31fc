# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators: where keys go, on top of the performance or into it."""

from __future__ import annotations

import bpy

from shared_protocol.errors import EDTalkError

from ...scene import character
from ...scene.keys import layers
from ..runtime.task_operator import refuse, report_error


def refuse_without_character(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For polls: True when a character that can be changed is active."""
    if not character.is_character(context.object):
        return refuse(cls, "Select a character")
    if not context.object.is_editable:
        return refuse(cls, "This character is linked from another file: make a library override of it")
    return True


class EditOnTop(bpy.types.Operator):
    """Edit your own keys on top of the prediction. Predict never changes them"""

    bl_idname = "edtalk.edit_on_top"
    bl_label = "Layer: Tweaks"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return refuse_without_character(cls, context)

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
        if not refuse_without_character(cls, context):
            return False
        look = layers.look(context.object)
        return look.performance or bool(look.tweaked) or refuse(cls, "Predict a performance first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            layers.edit_performance(context.object)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (EditOnTop, EditPerformance)
