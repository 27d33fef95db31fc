# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Further pictures of the person: laughing, with an open mouth. The model takes from each what the portrait lacks."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.text.translate import iface_, n_
from ...scene import paths, portrait_crop
from ..runtime.browsing import thumbnails
from ..runtime.polls import has_editable_character, refuse, report_error
from ..sidebar import CharacterPanel

PARTS = {"mouth": n_("mouth"), "right_eye": n_("right eye"), "left_eye": n_("left eye")}
"""The parts that a picture can give, as `messages.Prepared.also` names them, in words."""


def chosen(ob: bpy.types.Object) -> list[str]:
    """Return the stored paths of a character's further pictures."""
    return [path for path in (getattr(ob.edtalk, name) for name in paths.ALSO) if path]


def choose(ob: bpy.types.Object, stored: list[str]) -> None:
    """Set a character's further pictures."""
    for name, path in zip(paths.ALSO, stored + [""] * len(paths.ALSO), strict=False):
        setattr(ob.edtalk, name, path)
    ob.update_tag()


class AddPicture(bpy.types.Operator):
    """Add further pictures of the person."""

    bl_idname = "edtalk.add_picture"
    bl_description = (
        "Add further pictures of this person, laughing or with an open mouth. Frames take from each what the portrait "
        "does not show"
    )
    bl_label = "Add Pictures"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"} | paths.PATH_OPTIONS)
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    display_type: thumbnails()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context):
            return False
        return len(chosen(context.object)) < len(paths.ALSO) or refuse(cls, "There is room for four pictures")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = context.object
        names = [file.name for file in self.files if file.name]
        found = [paths.absolute(self.directory) / name for name in names] or [paths.absolute(self.filepath)]
        try:
            for path in found:
                paths.existing_file(path, "picture", ErrorCode.IMAGE_UNREADABLE)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        pictures = [*chosen(ob), *map(paths.to_stored_path, found)]
        choose(ob, pictures[: len(paths.ALSO)])
        if len(pictures) > len(paths.ALSO):
            self.report({"WARNING"}, iface_("There is room for four pictures"))
        return {"FINISHED"}


class RemovePicture(bpy.types.Operator):
    """Use this picture no longer. The file stays"""

    bl_idname = "edtalk.remove_picture"
    bl_label = "Remove Picture"
    bl_options = {"UNDO"}

    index: IntProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_editable_character(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        pictures = chosen(context.object)
        if not 0 <= self.index < len(pictures):
            return {"CANCELLED"}
        del pictures[self.index]
        choose(context.object, pictures)
        return {"FINISHED"}


class FurtherPicturesPanel(CharacterPanel, bpy.types.Panel):
    """The pictures, and what each gives."""

    bl_idname = "EDTALK_PT_further_pictures"
    bl_label = "Further Pictures"
    bl_parent_id = "EDTALK_PT_character"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = self.layout, context.object
        given = portrait_crop.gives(ob)
        for number, path in enumerate(chosen(ob)):
            row = layout.row(align=True)
            row.label(text=paths.absolute(path).name, icon="IMAGE_DATA", translate=False)
            row.operator("edtalk.remove_picture", text="", icon="X").index = number
            if number < len(given):
                layout.label(text=_words(given[number]), icon="BLANK1")
        layout.operator("edtalk.add_picture", icon="ADD")


def _words(parts: str) -> str:
    """Say what a picture gives."""
    named = ", ".join(iface_(PARTS[part]) for part in parts.split() if part in PARTS)
    return iface_("Gives: {parts}", parts=named) if named else iface_("Gives nothing that the portrait lacks")


CLASSES = (AddPicture, RemovePicture, FurtherPicturesPanel)
