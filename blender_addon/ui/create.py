# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: a new character from a portrait, and the choice of its voice."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode

from ..core import events
from ..core.tasks import Progress, Steps
from ..scene import character, plane, sequencer
from . import link
from .operators import TaskOperator, refuse


class NewCharacter(TaskOperator, bpy.types.Operator):
    """Make a plane from a picture of a face"""

    bl_idname = "edtalk.new_character"
    bl_label = "New Character"
    bl_options = {"UNDO"}
    title = "New Character"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    _browsing = False

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            return refuse(cls, "Leave edit mode first")
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.filepath:
            return super().invoke(context, event)
        self._browsing = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        if self._browsing:
            # The file browser can only call `execute`, which may not become modal: begin again, with the file.
            self._browsing = False
            bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=self.filepath)
            return {"CANCELLED"}
        return super().execute(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        path = character.absolute(self.filepath)
        portrait = character.read_file(path, "portrait", ErrorCode.IMAGE_UNREADABLE)
        session = link.session()
        bundle = yield from session.ready(progress)
        layouts_channels = len(bundle.layout)
        prepared = yield from session.prepare(portrait, progress)
        rest = events.weights_of(prepared)[0]
        if len(rest) != layouts_channels:
            raise EDTalkError(
                ErrorCode.BUNDLE_INVALID,
                f"The server gave {len(rest)} weights for a bundle of {layouts_channels}.",
                "Install the server and the add-on in the same version.",
            )
        picture = yield from session.picture(prepared.source, rest, progress)
        ob = plane.create(bpy.context, path.stem, picture.width, picture.height)
        ob.edtalk.portrait = character.kept_path(path)
        character.set_source(ob, prepared.source, bundle.title, bundle.layout, rest, prepared.notes)
        character.set_presets(ob, bundle.presets)
        character.write_weights(ob, rest)
        plane.show_live(ob, picture.width, picture.height, picture.pixels)
        _select_alone(ob)
        link.live().shown(ob, prepared.source, rest)
        return f"{ob.name} is ready" + "".join(f". {note}" for note in prepared.notes)


def _select_alone(ob: bpy.types.Object) -> None:
    view_layer = bpy.context.view_layer
    view_layer.update()  # a new object is not among its objects before
    for other in view_layer.objects:
        other.select_set(other == ob)
    view_layer.objects.active = ob


class ChooseVoice(bpy.types.Operator):
    """Choose a recording of speech for this character"""

    bl_idname = "edtalk.choose_voice"
    bl_label = "Choose Voice"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_sound: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    add_strip: BoolProperty(
        name="Add to the sequencer", description="Also put it there, so that it plays along", default=False
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return character.is_character(context.object) or refuse(cls, "Select a character")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        group, scene = context.object.edtalk, context.scene
        try:
            path = character.absolute(self.filepath)
            character.existing_file(path, "voice", ErrorCode.AUDIO_UNREADABLE)
            if self.add_strip:
                sequencer.add_sound(scene, path, scene.frame_start)
        except (EDTalkError, RuntimeError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        group.voice_from = "FILE"
        group.voice = character.kept_path(path)
        group.voice_start = scene.frame_start
        return {"FINISHED"}


CLASSES = (NewCharacter, ChooseVoice)
