# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators on the portrait: let the server look at it, find the face, go to the next one; face the camera."""

from __future__ import annotations

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

from ...core import crop_box
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import n_, rpt_
from ...scene import character, facing, portrait_crop
from ..runtime import portrait_requests, pump
from ..runtime.range_operator import found
from ..runtime.task_operator import TaskOperator, refuse

VERDICTS = {
    "good": n_("The portrait is good"),
    "no_face": n_("No face was found"),
    "several_faces": n_("There are several faces"),
    "too_small": n_("The face is small"),
    "turned": n_("The head is turned"),
    "cut_off": n_("The face is cut off"),
}
"""`Inspected.verdict` in words."""


def is_ours_to_crop(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For polls: a character whose properties may be changed is active."""
    ob = context.object
    if not character.is_character(ob):
        return refuse(cls, "Select a character")
    if not ob.is_editable:
        return refuse(cls, "This character is linked from another file: make a library override of it")
    return True


class PortraitOperator(TaskOperator):
    """A task that looks at the active character's portrait."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_ours_to_crop(cls, context) and cls.is_free()

    def look(self, uid: int, crop: Crop | None, progress: Progress) -> Steps[str]:
        """Let the server look at a crop (None: find the face), make it the character's, and say what it is worth."""
        session = pump.session()
        yield from session.ready(progress)
        portrait = yield from time_sliced(character.portrait_content(found(uid)))
        seen = yield from portrait_requests.inspect(portrait, crop, progress)
        portrait_crop.set_crop(found(uid), crop)
        portrait_crop.remember(found(uid), seen)
        return f"{rpt_(VERDICTS.get(seen.verdict, seen.verdict))}. {rpt_(seen.advice)}".strip()


class CheckPortrait(PortraitOperator, bpy.types.Operator):
    """Say what this portrait and its crop are worth"""

    bl_idname = "edtalk.check_portrait"
    bl_label = "Check"
    bl_options = {"UNDO"}
    title = "Check"

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ob = context.object
        return (yield from self.look(ob.session_uid, portrait_crop.crop_of(ob), progress))


class FindFace(PortraitOperator, bpy.types.Operator):
    """Find the face automatically: the largest one in the picture"""

    bl_idname = "edtalk.find_face"
    bl_label = "Find Face"
    bl_options = {"UNDO"}
    title = "Find Face"

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        return (yield from self.look(context.object.session_uid, None, progress))


class NextFace(PortraitOperator, bpy.types.Operator):
    """Take the next of the faces in the picture; after the smallest comes the largest"""

    bl_idname = "edtalk.next_face"
    bl_label = "Next Face"
    bl_options = {"UNDO"}
    title = "Next Face"

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        uid, session = context.object.session_uid, pump.session()
        yield from session.ready(progress)
        portrait = yield from time_sliced(character.portrait_content(found(uid)))
        crop = portrait_crop.crop_of(found(uid))
        seen = yield from portrait_requests.inspect(portrait, crop, progress)
        if not seen.faces:
            raise EDTalkError(
                ErrorCode.NO_FACE, "No face was found in the portrait.", "Put the crop on it by hand."
            )
        return (yield from self.look(uid, crop_box.next_face(seen.faces, seen.crop), progress))


class FaceCamera(bpy.types.Operator):
    """Turn the plane towards the scene's camera, whatever it does; a constraint that you can take away again"""

    bl_idname = "edtalk.face_camera"
    bl_label = "Face the Camera"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not is_ours_to_crop(cls, context):
            return False
        return context.scene.camera is not None or refuse(cls, "The scene has no camera")

    def execute(self, context: bpy.types.Context) -> set[str]:
        facing.face(context.object, context.scene.camera)
        return {"FINISHED"}


class StopFacing(bpy.types.Operator):
    """Let the plane stand as its own rotation says"""

    bl_idname = "edtalk.stop_facing"
    bl_label = "Stop Facing"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not is_ours_to_crop(cls, context):
            return False
        return facing.constraint_of(context.object) is not None or refuse(cls, "It faces no camera")

    def execute(self, context: bpy.types.Context) -> set[str]:
        facing.stop(context.object)
        return {"FINISHED"}


CLASSES = (CheckPortrait, FindFace, NextFace, FaceCamera, StopFacing)
