# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: let timeline markers drive the emotions, and add such markers."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from shared_protocol.emotions import parse

from ...core.text.translate import rpt_
from ...scene.keys import actions, layers
from ...scene.speech import cues
from ..runtime.polls import has_editable_character, is_not_tweaking, refuse
from .weight_operators import PoseOperator, has_presets


class MarkerOperator(PoseOperator):
    """Mix-in: write the emotions that the scene's markers name."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if not has_editable_character(cls, context) or not has_presets(cls, ob):
            return False
        return is_not_tweaking(cls, context)

    def write(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> str:
        """Write the emotions. Return the line to report."""
        markers = cues.from_markers(scene, ob)
        count = cues.write(ob, scene, markers)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        for doubt in cues.doubts(scene, ob):
            self.report({"WARNING"}, doubt)
        return rpt_("{markers} markers, {count} emotions move", markers=len(markers), count=count)


class EmotionsFromMarkers(MarkerOperator, bpy.types.Operator):
    """Let timeline markers such as "happy 0.7" or "neutral" drive the emotions. Press it again after changes"""

    bl_idname = "edtalk.emotions_from_markers"
    bl_label = "From Markers"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if cues.from_markers(context.scene, context.object) or layers.find_strip(
            context.object, actions.EMOTIONS
        ):
            return True
        if doubts := cues.doubts(context.scene, context.object):
            return refuse(cls, "{doubt}", doubt=doubts[0])
        return refuse(
            cls, 'Name timeline markers like "happy 0.7", "sad" or "neutral" (M adds one, F2 renames it)'
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_and_report(lambda: self.write(context.object, context.scene))


class MarkEmotion(MarkerOperator, bpy.types.Operator):
    """Add a marker for an emotion at the current frame, and let the markers drive the emotions"""

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
        return self.run_for_each(context, lambda ob: self.write(ob, scene))


CLASSES = (EmotionsFromMarkers, MarkEmotion)
