# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: emotions from what the character says."""

from __future__ import annotations

import bpy

from ...core.text.translate import rpt_
from ...scene.keys import layers
from ...scene.speech import cues, script
from ..runtime.task_operator import refuse
from ..weights.editing import refuse_without_character
from ..weights.keys import PoseOperator, refuse_without_presets


class EmotionsFromTranscript(PoseOperator, bpy.types.Operator):
    """Let words in the transcript drive the emotions"""

    bl_idname = "edtalk.emotions_from_transcript"
    bl_description = (
        'Let words such as "[happy 0.7]" or "(sad)" in the transcript drive the emotions; replaces what markers or a '
        "transcript wrote before"
    )
    bl_label = "Emotions from Transcript"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if not refuse_without_character(cls, context) or not refuse_without_presets(cls, ob):
            return False
        if layers.is_tweaking(ob):
            return refuse(cls, "The prediction is being edited: switch Layer to Tweaks first")
        has_transcript = ob.edtalk.speech.transcript_from != "NONE"
        return has_transcript or refuse(cls, "Choose a transcript first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.report_of(lambda: self._write(context.object, context.scene))

    def _write(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> str:
        found = script.feelings(ob, scene)
        count = cues.write(ob, scene, found)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        is_guess = bool(found) and not script.transcript_of(ob, scene).is_timed
        said = rpt_("{found} emotions in the transcript, {count} sliders move", found=len(found), count=count)
        guess = rpt_("Their times are a guess by the text before them, as it has no times")
        return f"{said}. {guess}" if is_guess else said


CLASSES = (EmotionsFromTranscript,)
