# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: set emotions from words in the transcript."""

from __future__ import annotations

import bpy

from ...core.text.translate import rpt_
from ...scene.speech import cues, script
from ..runtime.polls import has_editable_character, is_not_tweaking, refuse
from ..weights.weight_operators import PoseOperator, has_presets


class EmotionsFromTranscript(PoseOperator, bpy.types.Operator):
    """Let words in the transcript drive the emotions"""

    bl_idname = "edtalk.emotions_from_transcript"
    bl_description = (
        'Let words such as "[happy 0.7]" or "(sad)" in the transcript drive the emotions. Replaces what markers or a '
        "transcript wrote before"
    )
    bl_label = "Emotions from Transcript"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if not has_editable_character(cls, context) or not has_presets(cls, ob):
            return False
        if not is_not_tweaking(cls, context):
            return False
        has_transcript = ob.edtalk.speech.transcript_from != "NONE"
        return has_transcript or refuse(cls, "Choose a transcript first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_and_report(lambda: self._write(context.object, context.scene))

    def _write(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> str:
        emotions = script.emotion_cues(ob, scene)
        count = cues.write(ob, scene, emotions)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        is_guess = bool(emotions) and not script.transcript_of(ob, scene).is_timed
        message = rpt_(
            "{found} emotions in the transcript, {count} sliders move", found=len(emotions), count=count
        )
        guess = rpt_(
            "The transcript has no times: theirs are estimated from the length of the text before them"
        )
        return f"{message}. {guess}" if is_guess else message


CLASSES = (EmotionsFromTranscript,)
