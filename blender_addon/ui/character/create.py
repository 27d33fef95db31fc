# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: a new character from a portrait (a file, an image block, a drop), and the choice of its voice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Inspect, Prepared

from ...core.server import events, uploads
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import character, plane, portrait_crop
from ...scene.speech import sequencer
from ..runtime import portrait_requests, pump
from ..runtime.task_operator import TaskOperator, refuse, report_error
from ..weights.editing import refuse_without_character

PICTURES = ".png;.jpg;.jpeg;.webp;.bmp;.tif;.tiff"
"""What may be dropped onto the 3D view."""
UNTOUCHED_RANGE = (1, 250)
"""First and last frame of a new scene in Blender."""
_choices: list[tuple[str, str, str]] = []
"""Kept, because Blender does not keep the words of a menu that is made by a function."""


@dataclass(frozen=True)
class Portrait:
    """A picture to make a character of, and where it is from."""

    name: str
    content: uploads.Content
    path: Path | None = None
    image: str = ""


class NewCharacter(TaskOperator, bpy.types.Operator):
    """Make a plane from a picture of a face"""

    bl_idname = "edtalk.new_character"
    bl_label = "New Character"
    bl_options = {"UNDO"}
    title = "New Character"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | character.PATH_OPTIONS)
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

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
        path = character.absolute(self.filepath)
        content = yield from time_sliced(character.picture_content(path))
        return (yield from _made(Portrait(path.stem, content, path), progress))


class NewFromImage(TaskOperator, bpy.types.Operator):
    """Make a plane from a picture of a face that is in this file already"""

    bl_idname = "edtalk.new_from_image"
    bl_label = "New Character from Image"
    bl_options = {"UNDO"}
    title = "New Character"

    def _images(self, _context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
        _choices[:] = [(one.name, one.name, "") for one in bpy.data.images if portrait_crop.can_be(one)]
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
        if not any(portrait_crop.can_be(image) for image in bpy.data.images):
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
        return (yield from _made(Portrait(Path(name).stem, content, None, name), progress))


def _made(portrait: Portrait, progress: Progress) -> Steps[str]:
    """A new character; the line to report."""
    session = pump.session()
    bundle = yield from session.ready(progress)
    prepared, is_found = yield from _prepared(portrait.content, progress)
    rest = events.weights_of(prepared)[0]
    if len(rest) != len(bundle.layout):
        raise EDTalkError(
            ErrorCode.BUNDLE_INVALID,
            f"The server gave {len(rest)} weights for a bundle of {len(bundle.layout)}.",
            "Install the server and the add-on in the same version.",
        )
    picture = yield from portrait_requests.draw(prepared.source, rest, progress)
    ob = plane.create(bpy.context, portrait.name, picture.width, picture.height)
    if portrait.path is not None:
        ob.edtalk.portrait = character.kept_path(portrait.path)
    ob.edtalk.picture.image = bpy.data.images.get(portrait.image)
    portrait_crop.set_crop(ob, None if is_found else prepared.crop)
    portrait_crop.remember_prepared(ob, prepared)
    character.set_source(ob, prepared.source, bundle.title, bundle.layout, rest, prepared.notes)
    character.set_presets(ob, bundle.presets)
    character.write_weights(ob, rest)
    plane.show_live(ob, picture.width, picture.height, picture.pixels)
    _select_alone(ob)
    pump.live().shown(ob, prepared.source, rest)
    return rpt_("{name} is ready", name=ob.name) + "".join(f". {rpt_(note)}" for note in prepared.notes)


def _prepared(portrait: uploads.Content, progress: Progress) -> Steps[tuple[Prepared, bool]]:
    """Let the server encode a portrait, and whether it found the face. Where it did not, the middle of the picture is
    taken: only on a character can the crop be put in place by hand."""
    try:
        return (yield from portrait_requests.prepare(portrait, None, progress)), True
    except EDTalkError as error:
        if error.code != ErrorCode.NO_FACE or not pump.session().can(Inspect.capability):
            raise
    seen = yield from portrait_requests.inspect(portrait, None, progress)
    return (yield from portrait_requests.prepare(portrait, seen.crop, progress)), False


class DropPortrait(bpy.types.FileHandler):
    """Pictures that are dropped onto the 3D view become characters."""

    bl_idname = "EDTALK_FH_portrait"
    bl_label = "New EDTalk Character"
    bl_import_operator = "edtalk.new_character"
    bl_file_extensions = PICTURES

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        in_view = context.area is not None and context.area.type == "VIEW_3D"
        return in_view and context.mode == "OBJECT"


def draw_image_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """In the Image Editor's Image menu: a character of the picture that is open."""
    image = getattr(context.space_data, "image", None)
    if image is not None and portrait_crop.can_be(image):
        self.layout.separator()
        operator = self.layout.operator("edtalk.new_from_image", text="New EDTalk Character")
        operator.image = image.name


def register() -> None:
    bpy.types.IMAGE_MT_image.append(draw_image_menu)


def unregister() -> None:
    bpy.types.IMAGE_MT_image.remove(draw_image_menu)


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

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | character.PATH_OPTIONS)
    filter_sound: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    add_strip: BoolProperty(
        name="Add to the sequencer",
        description="Also put it there, so that it plays along, and keep playback in step with the sound",
        options={"SKIP_SAVE"},
    )
    fit_range: BoolProperty(
        name="Fit the frame range",
        description="Let the scene end with the voice, when it is added to the sequencer",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return refuse_without_character(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Whoever chooses it by hand will want to hear it; a frame range that somebody set stays."""
        scene = context.scene
        self.add_strip = True
        self.fit_range = (scene.frame_start, scene.frame_end) == UNTOUCHED_RANGE
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        group, scene = context.object.edtalk, context.scene
        try:
            path = character.absolute(self.filepath)
            character.existing_file(path, "voice", ErrorCode.AUDIO_UNREADABLE)
            if self.add_strip:
                self._hear(scene, path)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        except RuntimeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        group.voice_from = "FILE"
        group.voice = character.kept_path(path)
        group.voice_start = scene.frame_start
        return {"FINISHED"}

    def _hear(self, scene: bpy.types.Scene, path: Path) -> None:
        strip = sequencer.add_sound(scene, path, scene.frame_start)
        if scene.sync_mode == "NONE":
            scene.sync_mode = "AUDIO_SYNC"
        if self.fit_range:
            scene.frame_end = max(scene.frame_start, sequencer.span(strip)[1] - 1)


CLASSES = (NewCharacter, NewFromImage, DropPortrait, ChooseVoice)
