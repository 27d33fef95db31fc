# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: choose a character's voice file, and put it into the sequencer."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.text.translate import n_, tip_
from ...scene import character, paths
from ...scene.speech import sequencer
from ..runtime.polls import has_editable_character, report_error

UNKNOWN_SOUNDS = "*.opus;*.amr;*.caf;*.w64;*.au;*.webm;*.mp4;*.mov;*.mkv"
"""Files with sound that the server reads and Blender does not count among the sounds."""
UNTOUCHED_RANGE = (1, 250)
"""First and last frame of a new scene in Blender."""


class ChooseVoice(bpy.types.Operator):
    """Choose a recording of speech for this character"""

    bl_idname = "edtalk.choose_voice"
    bl_label = "Choose Voice"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    filter_sound: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_glob: StringProperty(default=UNKNOWN_SOUNDS, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    add_strip: BoolProperty(
        name="Add to the sequencer",
        description="Add the voice to the sequencer too, so that you hear it, and keep playback in sync with it",
        options={"SKIP_SAVE"},
    )
    fit_range: BoolProperty(
        name="Fit the frame range",
        description="Let the scene end with the voice when it is added to the sequencer",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, context: bpy.types.Context, _properties: bpy.types.OperatorProperties) -> str:
        return describe(context, "voice", n_("Choose a recording of speech for this character"))

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_editable_character(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Offer to add the voice to the sequencer, and to fit a frame range that nobody has set."""
        scene = context.scene
        self.add_strip = True
        self.fit_range = (scene.frame_start, scene.frame_end) == UNTOUCHED_RANGE
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        group, scene = context.object.edtalk, context.scene
        try:
            path = paths.absolute(self.filepath)
            paths.existing_file(path, "voice", ErrorCode.AUDIO_UNREADABLE)
            if self.add_strip:
                self._add_strip(scene, path)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        except RuntimeError:  # in the words of a library
            cause = n_("Blender cannot put this file into the sequencer.")
            report_error(
                self, cause, n_("Choose it again without adding it to the sequencer: the server may read it.")
            )
            return {"CANCELLED"}
        group.voice_from = "FILE"
        group.voice = paths.to_stored_path(path)
        group.voice_start = scene.frame_start
        return {"FINISHED"}

    def _add_strip(self, scene: bpy.types.Scene, path: Path) -> None:
        strip = sequencer.add_sound(scene, path, scene.frame_start)
        if scene.sync_mode == "NONE":
            scene.sync_mode = "AUDIO_SYNC"
        if self.fit_range:
            scene.frame_end = max(scene.frame_start, sequencer.span(strip)[1] - 1)


class ChooseTranscript(bpy.types.Operator):
    """Choose what is said, as a .txt, .srt or .vtt file"""

    bl_idname = "edtalk.choose_transcript"
    bl_label = "Choose Transcript"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    filter_glob: StringProperty(default="*.txt;*.srt;*.vtt", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, _properties: bpy.types.OperatorProperties) -> str:
        return describe(context, "transcript", n_("Choose what is said, as a .txt, .srt or .vtt file"))

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_editable_character(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            path = paths.absolute(self.filepath)
            paths.existing_file(path, "transcript", ErrorCode.UNSUPPORTED)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        context.object.edtalk.speech.transcript_from = "FILE"
        context.object.edtalk.transcript = paths.to_stored_path(path)
        return {"FINISHED"}


def describe(context: bpy.types.Context, what: str, words: str) -> str:
    """Return a tooltip: what the button does, and the whole path of the file whose name it shows."""
    known = getattr(context.object.edtalk, what) if character.is_character(context.object) else ""
    return f"{tip_(words)}\n{known}".strip()


CLASSES = (ChooseVoice, ChooseTranscript)
