# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""More of a character's voice (`ob.edtalk.speech`): its strip, and where its transcript comes from."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from shared_protocol.messages import MOST_BLINKS, MOST_HEAD

from ..speech import sequencer
from .options import OVERRIDABLE


def _sound_names(_group: EDTalkSpeech, context: bpy.types.Context, edited: str) -> list[str]:
    return [s.name for s in sequencer.sounds(context.scene) if edited.lower() in s.name.lower()]


class EDTalkSpeech(bpy.types.PropertyGroup):
    """The strip that is the voice, and what it says."""

    strip: StringProperty(
        name="Sound strip",
        description="The strip that speaks, as it is in the sequencer: its place, trims, volume and speed. "
        "It may be muted",
        search=_sound_names,
        override=OVERRIDABLE,
    )
    transcript_from: EnumProperty(
        name="Transcript",
        items=(
            ("NONE", "None", "No transcript"),
            ("FILE", "File", "A .txt, .srt or .vtt file"),
            ("TEXT", "Text Block", "A text of this file's Text Editor, plain or written like .srt or .vtt"),
            ("STRIPS", "Text Strips", "The text strips in the sequencer that are not muted"),
        ),
        override=OVERRIDABLE,
    )
    text: PointerProperty(
        name="Text",
        description="A text of the Text Editor: what is said",
        type=bpy.types.Text,
        override=OVERRIDABLE,
    )
    blinks: FloatProperty(
        name="Blinks",
        description="Blinks per minute in the next prediction. They move into pauses of the voice. 0: none",
        default=15.0,
        min=0.0,
        max=MOST_BLINKS,
        step=100,
        precision=0,
        override=OVERRIDABLE,
    )
    head: FloatProperty(
        name="Head Motion",
        description="Head motion in the next prediction, with nods on stressed syllables. 1: natural, 0: none",
        default=1.0,
        min=0.0,
        max=MOST_HEAD,
        soft_max=2.0,
        step=10,
        precision=2,
        override=OVERRIDABLE,
    )
    seed: IntProperty(
        name="Seed",
        description="The same number gives the same blinks and head motion, another number others",
        default=0,
        override=OVERRIDABLE,
    )
    captured: StringProperty(
        name="Captured", description="What to look at in the last capture", override=OVERRIDABLE
    )


CLASSES = (EDTalkSpeech,)
