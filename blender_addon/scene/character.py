# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The character: an object that carries a portrait, a voice and the animated weights (`ob.edtalk`)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from shared_protocol.banks import Bank, BankLayout
from shared_protocol.errors import EDTalkError, ErrorCode

from ..core.server import uploads
from ..core.tasks import Steps
from ..core.weights import layouts, mixing
from . import emotion, key_settings, portrait_crop, voice
from .takes import bake_settings

PATHS = ("portrait", "voice", "transcript", "take")
"""The properties that hold a file or a folder."""
OVERRIDABLE = {"LIBRARY_OVERRIDABLE"}
PATH_OPTIONS = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()
GROUP_NAME = "EDTalk"
"""The property group's own name: the Graph Editor writes it behind each channel, "Jaw Open (EDTalk)"."""


def _on_show(group: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    from . import plane

    plane.apply_show(group.id_data)


class EDTalkCharacter:
    """All that makes an object a character but the weights, which `naming` adds."""

    is_character: BoolProperty(name="Is a character", override=OVERRIDABLE)
    portrait: StringProperty(
        name="Portrait",
        description="The picture of the face",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
        override=OVERRIDABLE,
    )
    voice_from: EnumProperty(
        name="Voice",
        items=(
            ("FILE", "File", "A sound file"),
            ("SCENE", "Scene", "All that the scene's sequencer plays in its frame range, mixed down"),
            ("STRIP", "Strip", "One sound strip of the sequencer, whatever else plays"),
        ),
        override=OVERRIDABLE,
    )
    voice: StringProperty(
        name="Voice file",
        description="A recording of speech",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
        override=OVERRIDABLE,
    )
    voice_start: FloatProperty(
        name="Starts at",
        description="Frame at which the voice file begins",
        default=1.0,
        step=100,
        precision=1,
        override=OVERRIDABLE,
    )
    voice_offset: FloatProperty(
        name="Sync Offset",
        description="Frames by which the face comes after the sound; negative: before it",
        default=0.0,
        soft_min=-10.0,
        soft_max=10.0,
        step=10,
        precision=2,
        override=OVERRIDABLE,
    )
    transcript: StringProperty(
        name="Transcript file",
        description="What the voice says: a .txt, .srt or .vtt file",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
        override=OVERRIDABLE,
    )
    show: EnumProperty(
        name="Show",
        items=(
            ("LIVE", "Live", "The picture follows the weights while you scrub and edit"),
            ("TAKE", "Baked", "The plane shows the baked frames"),
        ),
        update=_on_show,
        override=OVERRIDABLE,
    )
    bundle: StringProperty(name="Bundle", description="Name and version of the model", override=OVERRIDABLE)
    source: StringProperty(
        name="Source", description="Content hash of the prepared portrait", override=OVERRIDABLE
    )
    notes: StringProperty(name="Notes", description="What to know about this portrait", override=OVERRIDABLE)
    layout: StringProperty(name="Layout", description="The bundle's bases (JSON)", override=OVERRIDABLE)
    rest: StringProperty(name="Rest", description="The portrait's own weights (JSON)", override=OVERRIDABLE)
    predicted: StringProperty(
        name="Predicted",
        description="Fingerprint of the keys as the last prediction left them",
        override=OVERRIDABLE,
    )
    take: StringProperty(name="Take", description="Folder of the baked frames", override=OVERRIDABLE)
    take_first: IntProperty(name="First baked frame", override=OVERRIDABLE)
    take_last: IntProperty(name="Last baked frame", default=-1, override=OVERRIDABLE)
    live_image: PointerProperty(name="Live picture", type=bpy.types.Image, override=OVERRIDABLE)
    take_image: PointerProperty(name="Baked frames", type=bpy.types.Image, override=OVERRIDABLE)
    bake: PointerProperty(type=bake_settings.EDTalkBake, override=OVERRIDABLE)
    emotion: PointerProperty(type=emotion.EDTalkEmotion, override=OVERRIDABLE)
    gain: PointerProperty(type=key_settings.EDTalkGain, override=OVERRIDABLE)
    writing: PointerProperty(type=key_settings.EDTalkWriting, override=OVERRIDABLE)
    speech: PointerProperty(type=voice.EDTalkSpeech, override=OVERRIDABLE)
    picture: PointerProperty(type=portrait_crop.EDTalkPicture, override=OVERRIDABLE)


def is_character(ob: bpy.types.Object | None) -> bool:
    """Does this object carry a portrait?"""
    return ob is not None and ob.edtalk.is_character


def characters(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The characters in a scene."""
    return [ob for ob in scene.objects if ob.edtalk.is_character]


def find(session_uid: int) -> bpy.types.Object | None:
    """The object with this identity in the session. References do not outlive an undo; this number does."""
    return next((ob for ob in bpy.data.objects if ob.session_uid == session_uid), None)


def find_scene(session_uid: int) -> bpy.types.Scene | None:
    """The scene with this identity in the session, whatever its name is now."""
    return next((scene for scene in bpy.data.scenes if scene.session_uid == session_uid), None)


def layout_of(ob: bpy.types.Object) -> BankLayout:
    """The bases of the bundle that the character was made with."""
    return layouts.layout_from_json(ob.edtalk.layout)


def channels_of(ob: bpy.types.Object) -> list[str]:
    """The character's channel properties in the order of the weights."""
    return layouts.channels(layout_of(ob))


def banks_of(ob: bpy.types.Object) -> dict[Bank, list[tuple[str, str]]]:
    """For each bank, the channel properties and the names of their bases."""
    banks: dict[Bank, list[tuple[str, str]]] = {bank: [] for bank in Bank}
    layout = layout_of(ob)
    for name, basis in zip(layouts.channels(layout), layout.bases, strict=True):
        banks[basis.bank].append((name, basis.name))
    return banks


def read_weights(ob: bpy.types.Object, channels: Sequence[str] | None = None) -> np.ndarray:
    """The animated weights of an object as it is, float32 [channels], without gains and emotions: for editing them.
    What is shown and rendered are the `final_weights`."""
    group = ob.edtalk
    names = channels_of(ob) if channels is None else channels
    return np.array([getattr(group, name) for name in names], np.float32)


def final_weights(ob: bpy.types.Object) -> np.ndarray:
    """The weights that an object shows, float32 [channels]: the animated ones, the gains of the banks, and the emotions
    on top (see `core.weights.mixing`). Hand in an evaluated one to see drivers and NLA."""
    group = ob.edtalk
    mixer = mixing.mixer_from_texts(group.layout, group.rest, group.emotion.presets)
    gains = np.array([getattr(group.gain, bank.value) for bank in Bank], np.float32)
    felt = np.array([getattr(group.emotion, name) for name in mixing.EMOTIONS], np.float32)
    return mixer.mix(read_weights(ob), gains, felt * np.float32(group.emotion.strength))


def mixing_settings(ob: bpy.types.Object) -> dict[str, float]:
    """What `final_weights` depends on beside the weights, by the F-Curve path of each."""
    group = ob.edtalk
    gains = {f"edtalk.gain.{bank.value}": getattr(group.gain, bank.value) for bank in Bank}
    names = (*mixing.EMOTIONS, "strength")
    return gains | {f"edtalk.emotion.{name}": getattr(group.emotion, name) for name in names}


def write_weights(ob: bpy.types.Object, weights: np.ndarray) -> None:
    """Set the weights, float32 [channels]."""
    for name, value in zip(channels_of(ob), weights, strict=True):
        setattr(ob.edtalk, name, float(value))
    ob.update_tag()


def rest_weights(ob: bpy.types.Object) -> np.ndarray:
    """The portrait's own weights: with these the picture is the portrait. float32 [channels]."""
    return mixing.rest_from_json(ob.edtalk.rest, len(layout_of(ob))).copy()


def set_source(
    ob: bpy.types.Object,
    source: str,
    bundle: str,
    layout: BankLayout,
    rest: np.ndarray,
    notes: Sequence[str],
    presets: mixing.Presets | None = None,
) -> None:
    """Remember what the server said about the portrait and its bundle."""
    group = ob.edtalk
    group.name = group.gain.name = group.emotion.name = GROUP_NAME
    group.source = source
    group.bundle = bundle
    group.layout = layouts.layout_to_json(layout)
    group.rest = json.dumps([float(value) for value in rest])
    group.notes = "\n".join(notes)
    if presets is not None:
        set_presets(ob, presets)


def set_presets(ob: bpy.types.Object, presets: mixing.Presets) -> None:
    """Remember the bundle's expressions, when they are others than before."""
    text = mixing.presets_to_json(presets)
    if ob.edtalk.emotion.presets != text:
        ob.edtalk.emotion.presets = text


def data_path(channel: str) -> str:
    """The F-Curve path of a channel."""
    return f"edtalk.{channel}"


# --- files -----------------------------------------------------------------------------------------------------------


def kept_path(path: str | Path) -> str:
    """A path as it is kept in the .blend: relative to it once that is saved (and on the same drive)."""
    if not bpy.data.filepath:
        return str(path)
    return _relative_to(None, path)


def absolute(path: str, library: bpy.types.Library | None = None) -> Path:
    """A kept path, of this file or of a library, as one that can be opened."""
    return absolute_from(None if library is None else absolute(library.filepath).parent, path)


def absolute_from(folder: Path | None, path: str) -> Path:
    """The same for a path that is kept in a file in `folder` (None: in this file)."""
    start = None if folder is None else str(folder)
    found = _whole(bpy.path.abspath(path, start=start))
    if path.startswith("//") and "\\" in path and not found.exists():  # the file was saved on Windows
        return _whole(bpy.path.abspath(path.replace("\\", "/"), start=start))
    return found


def _whole(path: str) -> Path:
    """Of a script's relative path too: the server's current folder is another one. (Links stay: they may be moved.)
    A path of Windows stays as it is on other systems: nothing there is meant by it."""
    if os.name != "nt" and PureWindowsPath(path).is_absolute():
        return Path(path)
    return Path(os.path.normpath(Path(path).absolute()))


def beside(name: str) -> str:
    """Where a new file goes unless another place is chosen: beside this one; while this one is not saved, the folder
    that the file browser showed last (by script: the current one)."""
    return str(Path(bpy.data.filepath).parent / name)


def file_of(ob: bpy.types.Object, name: str) -> Path | None:
    """The file or folder that the character's property `name` means; None when it is empty."""
    path = getattr(ob.edtalk, name)
    return absolute(path, _library_of(ob, name)) if path else None


def _library_of(ob: bpy.types.Object, name: str) -> bpy.types.Library | None:
    """The library that a path is relative to: an override's own values are relative to this file."""
    if ob.override_library is None:
        return ob.library
    original = ob.override_library.reference
    is_own = getattr(original.edtalk, name) != getattr(ob.edtalk, name)
    return None if is_own else original.library


def make_paths_relative(blend: str) -> list[tuple[int, str, str]]:
    """Before the file is saved as `blend`: turn our absolute paths into relative ones, and keep relative ones true.

    What was there before, for `put_paths_back`: the object's `session_uid`, the property, its value.
    """
    folder, before = str(Path(blend).parent), []
    for ob in bpy.data.objects:
        if not ob.edtalk.is_character or not ob.is_editable:
            continue
        for name in PATHS:
            path = file_of(ob, name)
            if path is not None and path.is_absolute() and _library_of(ob, name) is None:
                before.append((ob.session_uid, name, getattr(ob.edtalk, name)))
                setattr(ob.edtalk, name, _relative_to(folder, path))
    return before


def put_paths_back(before: list[tuple[int, str, str]]) -> None:
    """Undo `make_paths_relative`: the open file stays where it was."""
    for uid, name, path in before:
        if (ob := find(uid)) is not None:
            setattr(ob.edtalk, name, path)


def _relative_to(folder: str | None, path: str | Path) -> str:
    """Relative to a folder, or (None) to this file, in a way that all systems read."""
    try:
        relative = bpy.path.relpath(str(path), start=folder)
    except ValueError:  # another drive on Windows
        return str(path)
    return relative.replace(os.sep, "/")


def portrait_bytes(ob: bpy.types.Object) -> bytes:
    """The portrait as a picture file: the image block's, else the file's. Raises `EDTalkError` when it is gone or
    cannot be read."""
    if (image := ob.edtalk.picture.image) is not None:
        return portrait_crop.image_bytes(image)
    return read_file(file_of(ob, "portrait"), "portrait", ErrorCode.IMAGE_UNREADABLE)


def portrait_content(ob: bpy.types.Object) -> Steps[uploads.Content]:
    """The same, to be sent: read and hashed a little at a time, without the object, which an undo may take away."""
    if (image := ob.edtalk.picture.image) is not None:
        return uploads.in_memory(portrait_crop.image_bytes(image))
    return picture_content(file_of(ob, "portrait"))


def picture_content(path: Path | None) -> Steps[uploads.Content]:
    """A picture's file, to be sent. Raises `EDTalkError` when it is gone or cannot be read."""
    file = existing_file(path, "portrait", ErrorCode.IMAGE_UNREADABLE)
    return (yield from uploads.on_disk(file, "portrait", ErrorCode.IMAGE_UNREADABLE))


def read_file(path: Path | None, what: str, code: ErrorCode) -> bytes:
    """The bytes of a file, or `EDTalkError` with what to do."""
    file = existing_file(path, what, code)
    try:
        return file.read_bytes()
    except OSError as error:
        raise EDTalkError(
            code, f"The {what} {file} cannot be read: {error.strerror}.", f"Choose another {what} file."
        ) from error


def existing_file(path: Path | None, what: str, code: ErrorCode) -> Path:
    """`path` as a file that exists, or `EDTalkError` with what to do."""
    if path is None:
        raise EDTalkError(code, f"No {what} is chosen.", f"Choose a {what} file.")
    if not path.is_file():
        raise EDTalkError(
            code, f"The {what} {path} is not there.", f"Put it back or choose another {what} file."
        )
    return path


_GROUPS = (
    bake_settings.EDTalkBake,
    portrait_crop.EDTalkPicture,
    *emotion.CLASSES,
    *key_settings.CLASSES,
    *voice.CLASSES,
)


def register() -> None:
    for cls in _GROUPS:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_GROUPS):
        bpy.utils.unregister_class(cls)
