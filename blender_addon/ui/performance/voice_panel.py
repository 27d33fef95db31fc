# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel of the voice: sound, transcript, and performances from these or from a video."""

from __future__ import annotations

import bpy

from shared_protocol.banks import HEAD, LIDS, Bank
from shared_protocol.errors import EDTalkError
from shared_protocol.messages import SEMANTICS

from ...core.text.translate import iface_
from ...scene import character, paths
from ...scene.speech import cues, script
from ..runtime import runtime
from ..sidebar import CharacterSubPanel, draw_words
from .retime_operator import draw_rate


class VoicePanel(CharacterSubPanel, bpy.types.Panel):
    """Voice, transcript, prediction and capture."""

    bl_idname = "EDTALK_PT_voice"
    bl_label = "Voice"

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = self.layout, context.object
        layout.use_property_split = True
        layout.use_property_decorate = False
        _draw_voice(layout, ob)
        _draw_transcript(layout, ob, context.scene)
        _draw_idle_motion(layout, ob)
        _draw_emotion(layout, ob, context.scene)
        draw_rate(layout, ob, context.scene)
        _draw_predict(layout)
        column = layout.column(align=True)
        column.operator("edtalk.capture", icon="FILE_MOVIE")
        column.operator("edtalk.import_performance", icon="IMPORT")
        for note in filter(None, ob.edtalk.speech.captured.split("\n")):
            draw_words(layout, iface_(note), "INFO")


def _draw_voice(layout: bpy.types.UILayout, ob: bpy.types.Object) -> None:
    group = ob.edtalk
    row = layout.row()
    row.use_property_split = (
        False  # so that the choices have room in any language; the panel's title is their label
    )
    row.prop(group, "voice_from", expand=True)
    if group.voice_from == "FILE" and not group.voice:
        layout.operator("edtalk.choose_voice", icon="FILE_SOUND")
    elif group.voice_from == "FILE":
        draw_file(layout, ob, "voice", "edtalk.choose_voice", "FILE_SOUND")
        layout.prop(group, "voice_start")
    elif group.voice_from == "STRIP":
        layout.prop(group.speech, "strip", icon="SOUND")
    layout.prop(group, "voice_offset")


def draw_file(layout: bpy.types.UILayout, ob: bpy.types.Object, what: str, choose: str, icon: str) -> None:
    """Draw a button with a file's name, whose start is not cut as a path's is; a click chooses another file."""
    path = paths.file_of(ob, what)
    layout.operator(choose, text=path.name if path else None, icon=icon, translate=path is None)


def _draw_transcript(layout: bpy.types.UILayout, ob: bpy.types.Object, scene: bpy.types.Scene) -> None:
    speech = ob.edtalk.speech
    layout.prop(speech, "transcript_from")
    if speech.transcript_from == "NONE":
        return
    if speech.transcript_from == "FILE":
        draw_file(layout, ob, "transcript", "edtalk.choose_transcript", "FILE_TEXT")
    elif speech.transcript_from == "TEXT":
        layout.prop(speech, "text")
    try:
        draw_words(layout, _summary(script.transcript_of(ob, scene)), "WORDWRAP_ON")
    except EDTalkError as error:
        draw_words(layout, iface_(error.cause), "ERROR")
        draw_words(layout, iface_(error.fix), "INFO")
    layout.prop(speech, "language")
    layout.operator("edtalk.emotions_from_transcript", icon="TEXT")


def _draw_idle_motion(layout: bpy.types.UILayout, ob: bpy.types.Object) -> None:
    """Draw what a prediction adds to the mouth; grey where the bundle's weights name neither lids nor head."""
    known, column = character.layout_of(ob), layout.column(align=True)
    for name, needed in (("blinks", LIDS), ("head", HEAD)):
        row = column.row(align=True)
        row.active = known.has(*needed)
        row.prop(ob.edtalk.speech, name)
    row = column.row(align=True)
    row.active = known.has(*HEAD)
    row.prop(ob.edtalk.speech, "temperature")
    column.prop(ob.edtalk.speech, "seed")
    if not known.has(*LIDS, *HEAD):
        draw_words(
            layout, iface_("This bundle's weights have no names, so only the mouth is predicted"), "INFO"
        )


def _draw_emotion(layout: bpy.types.UILayout, ob: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Draw whether emotions are predicted; grey with a reason where they cannot be."""
    speech, reason = ob.edtalk.speech, _why_no_emotion(ob, scene)
    column = layout.column(align=True)
    column.active = not reason
    row = column.row()
    row.use_property_split = False
    row.prop(speech, "feel")
    if speech.feel:
        column.prop(speech, "emotion_gain", text="Gain")
    if reason and speech.feel:
        draw_words(layout, reason, "INFO")


def _why_no_emotion(ob: bpy.types.Object, scene: bpy.types.Scene) -> str:
    """Return why a prediction sets no emotions, in the user's language; empty where it does, or nobody knows yet."""
    session = runtime.session()
    if cues.from_markers(scene, ob):
        return iface_("Timeline markers drive the emotions: Predict leaves them alone")
    if session.bundle is None:
        return ""
    if not session.can(SEMANTICS):
        return iface_("This server is too old for it: update it")
    if not session.bundle.presets:
        return iface_("This bundle has no expressions")
    if "semantics" not in session.bundle.parts and not _has_directions(ob, scene):
        return iface_("This bundle hears no emotions: write them in brackets, such as [happy]")
    return ""


def _has_directions(ob: bpy.types.Object, scene: bpy.types.Scene) -> bool:
    try:
        return script.transcript_of(ob, scene).directions > 0
    except EDTalkError:
        return False


def _draw_predict(layout: bpy.types.UILayout) -> None:
    column = layout.column(align=True)
    column.operator("edtalk.predict", icon="FCURVE")
    row = column.row(align=True)
    for bank in Bank:
        name = bank.value.capitalize()
        row.operator("edtalk.predict", text=name).banks = {bank.name}


def _summary(transcript: script.Transcript) -> str:
    words, felt = transcript.words, transcript.directions
    if transcript.is_timed:
        lines = len(transcript.lines)
        return iface_(
            "{words} words in {lines} timed lines, {felt} emotions", words=words, lines=lines, felt=felt
        )
    guess = iface_(", at estimated times") if felt else ""
    return iface_("{words} words without times, {felt} emotions", words=words, felt=felt) + guess


CLASSES = (VoicePanel,)
