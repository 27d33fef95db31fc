# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""More of a character's voice (`ob.edtalk.speech`): its strip, its transcript, and what was predicted from them."""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from shared_protocol.messages import (
    MOST_BLINKS,
    MOST_GAIN,
    MOST_HEAD,
    MOST_TEMPERATURE,
    NATURAL_TEMPERATURE,
)

from ..speech import sequencer
from .options import OVERRIDABLE


def _sound_names(_group: EDTalkSpeech, context: bpy.types.Context, edited: str) -> list[str]:
    return [s.name for s in sequencer.sounds(context.scene) if edited.lower() in s.name.lower()]


def _jump(group: EDTalkSpeech, context: bpy.types.Context) -> None:
    """Go to the beginning of the sentence that was clicked."""
    if 0 <= group.sentence < len(group.sentences):
        context.scene.frame_set(max(0, round(group.sentences[group.sentence].start)))


class EDTalkSentence(bpy.types.PropertyGroup):
    """A sentence of the last prediction (its `name` is its text): `start` and `end` are frames."""

    start: FloatProperty(name="Start", options={"HIDDEN"})
    end: FloatProperty(name="End", options={"HIDDEN"})
    first: IntProperty(name="First Word", options={"HIDDEN"})
    words: IntProperty(name="Words", options={"HIDDEN"})
    emotion: StringProperty(name="Emotion", options={"HIDDEN"})
    intensity: FloatProperty(name="Intensity", options={"HIDDEN"})
    timed: StringProperty(name="Timed", options={"HIDDEN"})


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
    feel: BoolProperty(
        name="Emotion from Voice and Words",
        description="Let Predict set the emotions from how the voice sounds and what the transcript says. They become "
        "curves of the emotions' sliders",
        default=True,
        override=OVERRIDABLE,
    )
    emotion_gain: FloatProperty(
        name="Emotion Gain",
        description="Strength of the emotions in the next prediction. 1: as they were found, 0: none",
        default=1.0,
        min=0.0,
        max=MOST_GAIN,
        soft_max=2.0,
        step=10,
        precision=2,
        override=OVERRIDABLE,
    )
    temperature: FloatProperty(
        name="Temperature",
        description="How freely the head moves in the next prediction. 0: the most likely way",
        default=NATURAL_TEMPERATURE,
        min=0.0,
        max=MOST_TEMPERATURE,
        soft_max=1.2,
        step=10,
        precision=2,
        override=OVERRIDABLE,
    )
    language: StringProperty(
        name="Language",
        description="The transcript's language, such as en or de. Empty: unknown",
        override=OVERRIDABLE,
    )
    sentences: CollectionProperty(type=EDTalkSentence, override={"LIBRARY_OVERRIDABLE", "USE_INSERTION"})
    sentence: IntProperty(
        name="Sentence",
        description="A click on a sentence goes to the frame at which it begins",
        default=-1,
        update=_jump,
        override=OVERRIDABLE,
    )
    spoken: StringProperty(
        name="Spoken",
        description="The words of the last prediction with their frames (JSON)",
        override=OVERRIDABLE,
    )
    visemes: StringProperty(
        name="Visemes",
        description="What the lips showed in the last prediction, with its frames (JSON)",
        override=OVERRIDABLE,
    )
    captured: StringProperty(
        name="Captured", description="What to look at in the last capture", override=OVERRIDABLE
    )


CLASSES = (EDTalkSentence, EDTalkSpeech)
