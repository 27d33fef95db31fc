# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The list of sentences: what was felt in each, how it was timed, where it begins; fixing one; marks of the words."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, StringProperty

from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError

from ...core.text.translate import iface_, n_, rpt_
from ...scene.speech import spoken
from ..runtime.polls import has_editable_character, refuse, report_error
from ..sidebar import CharacterSubPanel, draw_words

TIMED = {
    "recognized": ("CHECKMARK", n_("Timed by the voice")),
    "line": ("TIME", n_("Timed within its line, by the transcript")),
    "guessed": ("QUESTION", n_("Timed by guess")),
}
"""Icon and words for how a sentence was timed."""


class SentenceList(bpy.types.UIList):
    """Sentences with their emotions"""

    bl_idname = "EDTALK_UL_sentences"

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index):  # type: ignore[no-untyped-def]
        row = layout.split(factor=0.64)
        row.label(text=item.name, icon=TIMED.get(item.timed, TIMED["guessed"])[0], translate=False)
        felt = f"{iface_(item.emotion.capitalize())} {item.intensity:.0%}" if item.emotion else "–"
        row.label(text=felt, translate=False)


class SentencesPanel(CharacterSubPanel, bpy.types.Panel):
    """The sentences of the last prediction."""

    bl_idname = "EDTALK_PT_sentences"
    bl_parent_id = "EDTALK_PT_voice"
    bl_label = "Sentences"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(super().poll(context) and context.object.edtalk.speech.spoken)

    def draw(self, context: bpy.types.Context) -> None:
        layout, speech = self.layout, context.object.edtalk.speech
        layout.template_list(
            SentenceList.bl_idname, "", speech, "sentences", speech, "sentence", rows=4, maxrows=8
        )
        if 0 <= speech.sentence < len(speech.sentences):
            sentence = speech.sentences[speech.sentence]
            icon, words = TIMED.get(sentence.timed, TIMED["guessed"])
            draw_words(layout, iface_(words), icon)
        layout.menu("EDTALK_MT_fix_emotion", icon="GREASEPENCIL")
        row = layout.row(align=True)
        row.operator("edtalk.mark_words", icon="MARKER").what = "WORDS"
        if speech.visemes:
            row.operator("edtalk.mark_words", text="Visemes").what = "VISEMES"
        row.operator("edtalk.clear_word_marks", text="", icon="X")


class FixMenu(bpy.types.Menu):
    """Write an emotion before the chosen sentence into the transcript. Predict again to see it"""

    bl_idname = "EDTALK_MT_fix_emotion"
    bl_label = "Fix Emotion"

    def draw(self, _context: bpy.types.Context) -> None:
        for name in (*EMOTIONS, "none"):
            self.layout.operator("edtalk.fix_emotion", text=name.capitalize()).emotion = name


class FixEmotion(bpy.types.Operator):
    """Write an emotion before the chosen sentence into the transcript. Predict again to see it"""

    bl_idname = "edtalk.fix_emotion"
    bl_label = "Fix Emotion"
    bl_options = {"REGISTER", "UNDO"}

    emotion: StringProperty(
        name="Emotion",
        description="What to write: happy, happy 0.7, none",
        default="none",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context):
            return False
        speech = context.object.edtalk.speech
        if not 0 <= speech.sentence < len(speech.sentences):
            return refuse(cls, "Choose a sentence in the list first")
        return speech.transcript_from != "NONE" or refuse(cls, "Choose a transcript first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = context.object
        try:
            name = spoken.write_direction(ob, context.scene, ob.edtalk.speech.sentence, self.emotion)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        if name:
            self.report({"INFO"}, rpt_("Written into the text {name}. Predict again to see it", name=name))
        else:
            self.report({"INFO"}, rpt_("Written into the text strips. Predict again to see it"))
        return {"FINISHED"}


class MarkWords(bpy.types.Operator):
    """Put a timeline marker at each word or viseme of the last prediction, to see which key belongs to it"""

    bl_idname = "edtalk.mark_words"
    bl_label = "Mark Words"
    bl_options = {"REGISTER", "UNDO"}

    what: EnumProperty(
        name="What",
        description="What gets markers",
        items=(
            ("WORDS", "Words", "The beginning of each word"),
            ("VISEMES", "Visemes", "Each shape that the lips show: PP where they meet, aa where they open"),
        ),
        default="WORDS",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context):
            return False
        return bool(context.object.edtalk.speech.spoken) or refuse(cls, "Predict with a transcript first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = context.object
        if self.what == "VISEMES":
            count = spoken.mark_words(context.scene, spoken.visemes_of(ob))
            self.report({"INFO"}, rpt_("{count} visemes marked", count=count))
        else:
            count = spoken.mark_words(context.scene, spoken.words_of(ob))
            self.report({"INFO"}, rpt_("{count} words marked", count=count))
        return {"FINISHED"}


class ClearWordMarks(bpy.types.Operator):
    """Remove the markers of words and visemes. Other markers stay"""

    bl_idname = "edtalk.clear_word_marks"
    bl_label = "Clear Word Marks"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(spoken.marks(context.scene)) or refuse(cls, "No words are marked")

    def execute(self, context: bpy.types.Context) -> set[str]:
        spoken.clear_marks(context.scene)
        return {"FINISHED"}


CLASSES = (SentenceList, FixEmotion, MarkWords, ClearWordMarks, FixMenu, SentencesPanel)
