# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: emotions from the scene's timeline markers, and such markers."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from ...core.text.translate import rpt_
from ...core.weights.emotions import parse
from ...scene.keys import actions, layers
from ...scene.speech import cues
from ..runtime.task_operator import refuse
from .editing import refuse_without_character
from .keys import PoseOperator, refuse_without_presets


class MarkerOperator(PoseOperator):
    """Mix-in: write the emotions that the scene's markers say."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if not refuse_without_character(cls, context) or not refuse_without_presets(cls, ob):
            return False
        return not layers.is_tweaking(ob) or refuse(
            cls, "The prediction is being edited: switch Layer to Tweaks first"
        )

    def write(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> str:
        """What came of it."""
        found = cues.from_markers(scene, ob)
        count = cues.write(ob, scene, found)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        return rpt_("{markers} markers, {count} emotions move", markers=len(found), count=count)


class EmotionsFromMarkers(MarkerOperator, bpy.types.Operator):
    """Let markers such as "happy 0.7" or "neutral" drive the emotions; doing it again replaces what it wrote"""

    bl_idname = "edtalk.emotions_from_markers"
    bl_label = "From Markers"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if cues.from_markers(context.scene, context.object) or layers.strip_of(
            context.object, actions.EMOTIONS
        ):
            return True
        return refuse(
            cls, 'Name timeline markers like "happy 0.7", "sad" or "neutral" (M adds one, F2 renames it)'
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.report_of(lambda: self.write(context.object, context.scene))


class MarkEmotion(MarkerOperator, bpy.types.Operator):
    """Put a marker for an emotion at the current frame, and let the markers drive the emotions"""

    bl_idname = "edtalk.mark_emotion"
    bl_label = "Mark Emotion"

    emotion: StringProperty(
        name="Emotion",
        description="What the marker says: happy, happy 0.7, happy 0.4 + sad 0.2, none",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        if parse(self.emotion) is None:
            words = rpt_(
                "{emotion} is no emotion: write a name such as happy, or happy 0.7.", emotion=self.emotion
            )
            self.report({"ERROR"}, words)
            return {"CANCELLED"}
        cues.mark(scene, self.emotion)
        return self.report_of(lambda: self.write(context.object, scene))


CLASSES = (EmotionsFromMarkers, MarkEmotion)
