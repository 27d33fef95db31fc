# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: make a character from a portrait, which is a file, an image block or a dropped file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Inspect, Prepared

from ...core.server import events, uploads
from ...core.takes import NEW_SIZE
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import character, paths, plane, portrait_crop
from ..runtime import portrait_requests, runtime
from ..runtime.browsing import thumbnails
from ..runtime.live import LIVE
from ..runtime.polls import is_in_view, refuse
from ..runtime.task_operator import TaskOperator
from .view_character import look_at_first

PICTURES = ".png;.jpg;.jpeg;.webp;.bmp;.tif;.tiff;.tga;.exr;.hdr;.heic;.heif;.avif"
"""Files that may be dropped onto the 3D view."""
UNKNOWN_PICTURES = "*.heic;*.heif;*.avif"
"""Pictures that the server reads and Blender's file browser does not know: they are shown beside those it knows."""
_choices: list[tuple[str, str, str]] = []
"""The menu's items: Blender keeps no reference to the strings that a function returns."""


@dataclass(frozen=True)
class Portrait:
    """A picture to make a character from: a file at `path`, or the image block `image`."""

    name: str
    content: uploads.Content
    path: Path | None = None
    image: str = ""


class NewCharacter(TaskOperator, bpy.types.Operator):
    """Make a character from a picture of a face: a plane at the 3D cursor that shows the picture"""

    bl_idname = "edtalk.new_character"
    bl_label = "New Character"
    bl_options = {"UNDO"}
    title = "New Character"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_glob: StringProperty(default=UNKNOWN_PICTURES, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    display_type: thumbnails()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            return refuse(cls, "Leave edit mode first")
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or self.filepath:
            return super().invoke(context, event)
        return self.browse(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        path = paths.absolute(self.filepath)
        content = yield from time_sliced(character.picture_content(path))
        return (yield from _create(Portrait(path.stem, content, path), progress))


class NewFromImage(TaskOperator, bpy.types.Operator):
    """Make a character from a picture in this file"""

    bl_idname = "edtalk.new_from_image"
    bl_label = "New Character from Image"
    bl_options = {"UNDO"}
    title = "New Character"

    def _images(self, _context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
        _choices[:] = [
            (image.name, image.name, "") for image in bpy.data.images if portrait_crop.can_be_portrait(image)
        ]
        return _choices

    image: EnumProperty(
        name="Image",
        description="A picture of a face in this .blend",
        items=_images,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            return refuse(cls, "Leave edit mode first")
        if not any(portrait_crop.can_be_portrait(image) for image in bpy.data.images):
            return refuse(cls, "There is no picture in this file yet")
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or self.properties.is_property_set("image"):
            return super().invoke(context, event)
        return self.ask(context, confirm="New Character")

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        image = bpy.data.images[self.image]
        name = image.name
        content = yield from time_sliced(uploads.in_memory(portrait_crop.image_bytes(image)))
        return (yield from _create(Portrait(Path(name).stem, content, None, name), progress))


def _create(portrait: Portrait, progress: Progress) -> Steps[str]:
    """Make a character. Return the line to report."""
    session = runtime.session()
    bundle = yield from session.ready(progress)
    prepared, has_face = yield from _prepare(portrait.content, progress)
    rest = events.weights_of(prepared)[0]
    if len(rest) != len(bundle.layout):
        raise EDTalkError(
            ErrorCode.BUNDLE_INVALID,
            f"The server gave {len(rest)} weights for a bundle of {len(bundle.layout)}.",
            "Install the server and the add-on in the same version.",
        )
    picture = yield from portrait_requests.draw(prepared.source, rest, progress, int(NEW_SIZE))
    ob = plane.create_plane(bpy.context, portrait.name, picture.width, picture.height)
    if portrait.path is not None:
        ob.edtalk.portrait = paths.to_stored_path(portrait.path)
    ob.edtalk.bake.size = NEW_SIZE
    ob.edtalk.picture.image = bpy.data.images.get(portrait.image)
    portrait_crop.set_crop(ob, None if has_face else prepared.crop)
    portrait_crop.remember_prepared(ob, prepared)
    character.set_source(ob, prepared.source, bundle.title, bundle.layout, rest, prepared.notes)
    character.set_presets(ob, bundle.presets)
    character.write_weights(ob, rest)
    plane.show_live(ob, picture.width, picture.height, picture.pixels)
    _select_alone(ob)
    LIVE.mark_shown(ob, prepared, rest)
    notes = [*map(rpt_, prepared.notes), look_at_first(bpy.context, ob)]
    return rpt_("{name} is ready", name=ob.name) + "".join(f". {note}" for note in notes if note)


def _prepare(portrait: uploads.Content, progress: Progress) -> Steps[tuple[Prepared, bool]]:
    """Let the server encode a portrait. Return its answer, and whether it found the face.

    Where it did not, the crop is the middle of the picture: it can be moved by hand once there is a character.
    """
    try:
        return (yield from portrait_requests.prepare(portrait, None, progress)), True
    except EDTalkError as error:
        if error.code != ErrorCode.NO_FACE or not runtime.session().can(Inspect.capability):
            raise
    inspected = yield from portrait_requests.inspect(portrait, None, progress)
    return (yield from portrait_requests.prepare(portrait, inspected.crop, progress)), False


class DropPortrait(bpy.types.FileHandler):
    """Make characters from pictures that are dropped onto the 3D view."""

    bl_idname = "EDTALK_FH_portrait"
    bl_label = "New EDTalk Character"
    bl_import_operator = "edtalk.new_character"
    bl_file_extensions = PICTURES

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return is_in_view(context) and context.mode == "OBJECT"


def draw_image_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """Draw an entry in the Image Editor's Image menu: make a character from the open picture."""
    image = getattr(context.space_data, "image", None)
    if image is not None and portrait_crop.can_be_portrait(image):
        self.layout.separator()
        operator = self.layout.operator("edtalk.new_from_image", text="New EDTalk Character")
        operator.image = image.name


def _select_alone(ob: bpy.types.Object) -> None:
    view_layer = bpy.context.view_layer
    view_layer.update()  # a new object is not among its objects before
    for other in view_layer.objects:
        other.select_set(other == ob)
    view_layer.objects.active = ob


CLASSES = (NewCharacter, NewFromImage, DropPortrait)


def register() -> None:
    bpy.types.IMAGE_MT_image.append(draw_image_menu)


def unregister() -> None:
    bpy.types.IMAGE_MT_image.remove(draw_image_menu)
