# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: move a character's keys to another frame rate, or by some frames; words about a rate that changed."""

from __future__ import annotations

from fractions import Fraction

import bpy
from bpy.props import BoolProperty, FloatProperty

from shared_protocol.errors import EDTalkError
from shared_protocol.timebase import frame_rate

from ...core.text.translate import iface_, rpt_
from ...scene.keys import retiming
from ...scene.speech import sequencer, spoken
from ..runtime.polls import has_editable_character, is_not_tweaking, refuse, report_error
from ..sidebar import draw_words, side_by_side

SAME = 0.0
"""In place of a frame rate: the known one."""


def draw_rate(layout: bpy.types.UILayout, ob: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Draw what is to be done when the scene's frame rate is not the one that a performance was written for."""
    written = retiming.written_rate(ob)
    if written is None or not retiming.has_drifted(ob, scene):
        return
    text = iface_(
        "Predicted at {old} fps, the scene has {new}: the lips drift",
        old=in_words(written),
        new=in_words(retiming.rate_of(scene)),
    )
    draw_words(layout, text, "ERROR")
    row = side_by_side(layout, "Predict Again", "Retime Keys")
    row.operator("edtalk.predict", text="Predict Again", icon="FCURVE")
    row.operator("edtalk.retime_keys", icon="MOD_TIME")


def in_words(rate: Fraction) -> str:
    """Return a frame rate as people write it: 25, 23.976."""
    return f"{float(rate):.5g}"


class RetimeKeys(bpy.types.Operator):
    """Move the character's keys to the frames that they have at the scene's frame rate. The voice's start stays"""

    bl_idname = "edtalk.retime_keys"
    bl_label = "Retime Keys"
    bl_options = {"REGISTER", "UNDO"}

    old: FloatProperty(
        name="From",
        description="Frames a second for which the keys were written. 0: as noted when they were",
        default=SAME,
        min=0.0,
        max=1000.0,
        precision=3,
        options={"SKIP_SAVE"},
    )
    new: FloatProperty(
        name="To",
        description="Frames a second for which the keys are wanted. 0: the scene's",
        default=SAME,
        min=0.0,
        max=1000.0,
        precision=3,
        options={"SKIP_SAVE"},
    )
    offset: FloatProperty(
        name="Offset",
        description="Frames by which all keys move as well. Negative: earlier",
        precision=2,
        step=100,
        options={"SKIP_SAVE"},
    )
    tweaks: BoolProperty(
        name="Tweaks Too",
        description="Move your own keys on the weights as well",
        default=True,
        options={"SKIP_SAVE"},
    )
    frame_range: BoolProperty(
        name="Frame Range Too",
        description="Let the scene end with the moved keys",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context) or not is_not_tweaking(cls, context):
            return False
        data = context.object.animation_data
        return data is not None or refuse(cls, "There are no keys yet")

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob, scene = context.object, context.scene
        known = retiming.rate_of(scene)
        new = frame_rate(self.new) if self.new else known
        old = frame_rate(self.old) if self.old else retiming.written_rate(ob) or new
        shift = retiming.Shift(old, new, sequencer.beginning(ob, scene), self.offset)
        try:
            count = retiming.retime(ob, shift, self.tweaks)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        spoken.move(ob, shift.frame)
        ob.edtalk.writing.rate = str(new)
        if self.frame_range:
            scene.frame_end = max(scene.frame_start, round(shift.frame(scene.frame_end)))
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        text = "{count} curves retimed from {old} to {new} fps"
        self.report({"INFO"}, rpt_(text, count=count, old=in_words(old), new=in_words(new)))
        return {"FINISHED"}


CLASSES = (RetimeKeys,)
