# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel of the emotions: sliders, markers, and the bundle's expressions as poses."""

from __future__ import annotations

import bpy

from shared_protocol.emotions import EMOTIONS, Presets

from ...core.text.translate import iface_
from ...core.weights import mixing
from ...scene.speech import cues
from ..runtime.face_pictures import PICTURES
from ..sidebar import PICTURE, CharacterSubPanel, draw_show_switch, draw_words, picture_grid


class EmotionPanel(CharacterSubPanel, bpy.types.Panel):
    """Eight emotions that are mixed over the weights."""

    bl_idname = "EDTALK_PT_emotion"
    bl_label = "Emotion"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, emotion = self.layout, context.object.edtalk.emotion
        presets = mixing.presets_from_json(emotion.presets)
        draw_show_switch(layout, context.object)
        layout.use_property_split = True
        column = layout.column(align=True)
        for name in EMOTIONS:
            row = column.row()
            row.enabled = name in presets
            row.prop(emotion, name, slider=True)
        layout.prop(emotion, "strength", slider=True)
        if words := explain_grey(presets):
            draw_words(layout, words, "INFO")
        column = layout.column(align=True)
        column.operator("edtalk.neutralise", icon="USER")
        column.menu("EDTALK_MT_expressions", icon="KEY_HLT")
        column = layout.column(align=True)
        column.menu("EDTALK_MT_marks", icon="MARKER")
        column.operator("edtalk.emotions_from_markers", icon="MARKER_HLT")
        column.prop(emotion, "blend")
        for doubt in cues.doubts(context.scene, context.object):
            draw_words(layout, doubt, "ERROR")


class EmotionPicturesPanel(CharacterSubPanel, bpy.types.Panel):
    """The character's own face with each emotion; a click marks the emotion at the current frame."""

    bl_idname = "EDTALK_PT_emotion_pictures"
    bl_label = "Mark with Pictures"
    bl_parent_id = "EDTALK_PT_emotion"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        return super().poll(context) and bool(mixing.presets_from_json(ob.edtalk.emotion.presets))

    def draw(self, context: bpy.types.Context) -> None:
        ob = context.object
        names = [name for name in EMOTIONS if name in mixing.presets_from_json(ob.edtalk.emotion.presets)]
        labels = [iface_(name.capitalize()) for name in names]
        grid = picture_grid(self.layout, labels)
        for name, label in zip(names, labels, strict=True):
            cell = grid.column(align=True)
            cell.template_icon(icon_value=PICTURES.icon(ob, name), scale=PICTURE)
            cell.operator("edtalk.mark_emotion", text=label, translate=False).emotion = name


def explain_grey(presets: Presets) -> str:
    """Return why some of the sliders are grey, in the user's language; empty where none is."""
    if not presets:
        return iface_("This bundle has no expressions, or is not known yet: predict or bake once")
    names = [iface_(name.capitalize()) for name in EMOTIONS if name not in presets]
    return iface_("This bundle does not know: {names}", names=", ".join(names)) if names else ""


class ExpressionsMenu(bpy.types.Menu):
    """Set and key an expression of the bundle at the current frame, as weights"""

    bl_idname = "EDTALK_MT_expressions"
    bl_label = "Key Expression"

    def draw(self, context: bpy.types.Context) -> None:
        for name in sorted(mixing.presets_from_json(context.object.edtalk.emotion.presets)):
            self.layout.operator("edtalk.apply_preset", text=name.capitalize()).preset = name


class MarksMenu(bpy.types.Menu):
    """Add a marker for an emotion at the current frame, and let the markers drive the emotions"""

    bl_idname = "EDTALK_MT_marks"
    bl_label = "Mark Emotion"

    def draw(self, context: bpy.types.Context) -> None:
        presets = mixing.presets_from_json(context.object.edtalk.emotion.presets)
        for name in (*sorted(presets), "none"):
            self.layout.operator("edtalk.mark_emotion", text=name.capitalize()).emotion = name


CLASSES = (MarksMenu, ExpressionsMenu, EmotionPanel, EmotionPicturesPanel)
