# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators on the portrait: check it, find the face, take the next face; face the camera."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

from ...core import crop_box
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import n_, rpt_, tip_
from ...scene import character, facing, paths, portrait_crop
from ...scene.references import get_character
from ..runtime import portrait_requests, runtime
from ..runtime.browsing import thumbnails
from ..runtime.polls import has_editable_character, refuse, report_error
from ..runtime.task_operator import TaskOperator

VERDICTS = {
    "good": n_("The portrait is good"),
    "no_face": n_("No face was found"),
    "several_faces": n_("There are several faces"),
    "too_small": n_("The face is small"),
    "turned": n_("The head is turned"),
    "cut_off": n_("The face is cut off"),
}
"""What `Inspected.verdict` means, in words."""


class PortraitOperator(TaskOperator):
    """Mix-in: a task that lets the server look at the active character's portrait."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_editable_character(cls, context) and cls.is_free()

    def inspect(self, uid: int, crop: Crop | None, progress: Progress) -> Steps[str]:
        """Let the server look at a crop (None: find the face) and use it. Return the verdict, for people."""
        session = runtime.session()
        yield from session.ready(progress)
        portrait = yield from time_sliced(character.portrait_content(get_character(uid)))
        inspected = yield from portrait_requests.inspect(portrait, crop, progress)
        portrait_crop.set_crop(get_character(uid), crop)
        portrait_crop.remember(get_character(uid), inspected)
        return f"{rpt_(VERDICTS.get(inspected.verdict, inspected.verdict))}. {rpt_(inspected.advice)}".strip()


class ChoosePortrait(bpy.types.Operator):
    """Choose another picture for this character"""

    bl_idname = "edtalk.choose_portrait"
    bl_label = "Choose Portrait"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    display_type: thumbnails()

    @classmethod
    def description(cls, context: bpy.types.Context, _properties: bpy.types.OperatorProperties) -> str:
        known = context.object.edtalk.portrait if character.is_character(context.object) else ""
        return f"{tip_('Choose another picture for this character')}\n{known}".strip()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_editable_character(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = paths.absolute(self.filepath)
        try:
            paths.existing_file(path, "portrait", ErrorCode.IMAGE_UNREADABLE)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        portrait_crop.set_crop(context.object, None)
        context.object.edtalk.portrait = paths.to_stored_path(path)
        context.object.update_tag()
        return {"FINISHED"}


class CheckPortrait(PortraitOperator, bpy.types.Operator):
    """Check how well this portrait and its crop suit the model"""

    bl_idname = "edtalk.check_portrait"
    bl_label = "Check"
    bl_options = {"UNDO"}
    title = "Check"

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ob = context.object
        return (yield from self.inspect(ob.session_uid, portrait_crop.crop_of(ob), progress))


class FindFace(PortraitOperator, bpy.types.Operator):
    """Find the face automatically: the largest one in the picture"""

    bl_idname = "edtalk.find_face"
    bl_label = "Find Face"
    bl_options = {"UNDO"}
    title = "Find Face"

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        return (yield from self.inspect(context.object.session_uid, None, progress))


class NextFace(PortraitOperator, bpy.types.Operator):
    """Use the next face in the picture. After the smallest comes the largest"""

    bl_idname = "edtalk.next_face"
    bl_label = "Next Face"
    bl_options = {"UNDO"}
    title = "Next Face"

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        uid, session = context.object.session_uid, runtime.session()
        yield from session.ready(progress)
        portrait = yield from time_sliced(character.portrait_content(get_character(uid)))
        crop = portrait_crop.crop_of(get_character(uid))
        inspected = yield from portrait_requests.inspect(portrait, crop, progress)
        if not inspected.faces:
            raise EDTalkError(
                ErrorCode.NO_FACE, "No face was found in the portrait.", "Move the crop onto it by hand."
            )
        return (yield from self.inspect(uid, crop_box.next_face(inspected.faces, inspected.crop), progress))


class FaceCamera(bpy.types.Operator):
    """Let the plane always face the scene's camera. It is a constraint that you can remove again"""

    bl_idname = "edtalk.face_camera"
    bl_label = "Face the Camera"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context):
            return False
        return context.scene.camera is not None or refuse(cls, "The scene has no camera")

    def execute(self, context: bpy.types.Context) -> set[str]:
        facing.face_camera(context.object, context.scene.camera)
        return {"FINISHED"}


class StopFacing(bpy.types.Operator):
    """Remove the constraint, so that the plane has its own rotation again"""

    bl_idname = "edtalk.stop_facing"
    bl_label = "Stop Facing"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context):
            return False
        return facing.constraint_of(context.object) is not None or refuse(cls, "It faces no camera")

    def execute(self, context: bpy.types.Context) -> set[str]:
        facing.stop_facing(context.object)
        return {"FINISHED"}


CLASSES = (ChoosePortrait, CheckPortrait, FindFace, NextFace, FaceCamera, StopFacing)
