# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: emotions from the scene's timeline markers."""

from __future__ import annotations

import bpy

from ..core.wording import rpt_
from ..scene import actions, cues, layers
from .editing import refuse_without_character
from .keys import PoseOperator, refuse_without_presets
from .operators import refuse


class EmotionsFromMarkers(PoseOperator, bpy.types.Operator):
    """Let markers such as "happy 0.7" or "neutral" drive the emotions; doing it again replaces what it wrote"""

    bl_idname = "edtalk.emotions_from_markers"
    bl_label = "From Markers"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if not refuse_without_character(cls, context) or not refuse_without_presets(cls, ob):
            return False
        if layers.is_tweaking(ob):
            return refuse(cls, "A strip is being edited: press Edit on Top first")
        if cues.from_markers(context.scene, ob) or layers.strip_of(ob, actions.EMOTIONS) is not None:
            return True
        return refuse(
            cls, 'Name timeline markers like "happy 0.7", "sad" or "neutral" (M adds one, F2 renames it)'
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.report_of(lambda: self._write(context.object, context.scene))

    def _write(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> str:
        found = cues.from_markers(scene, ob)
        count = cues.write(ob, scene, found)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        return rpt_("{markers} markers, {count} emotions move", markers=len(found), count=count)


CLASSES = (EmotionsFromMarkers,)
