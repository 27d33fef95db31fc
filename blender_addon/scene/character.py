# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write a character: an object with a portrait, a voice and animated weights (`ob.edtalk`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np

from shared_protocol.banks import Bank, BankLayout
from shared_protocol.emotions import EMOTIONS, Presets
from shared_protocol.errors import ErrorCode

from ..core.server import uploads
from ..core.tasks import Steps
from ..core.weights import layouts, mixing
from . import paths, portrait_crop

GROUP_NAME = "EDTalk"
"""Name of the property group: the Graph Editor writes it behind each channel, "Jaw Open (EDTalk)"."""


def is_character(ob: bpy.types.Object | None) -> bool:
    """Return whether an object is a character."""
    return ob is not None and ob.edtalk.is_character


def characters(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """Return the characters in a scene."""
    return [ob for ob in scene.objects if ob.edtalk.is_character]


def layout_of(ob: bpy.types.Object) -> BankLayout:
    """Return the bases of the character's bundle."""
    return layouts.layout_from_json(ob.edtalk.layout)


def channels_of(ob: bpy.types.Object) -> list[str]:
    """Return the character's channel properties in the order of the weights."""
    return layouts.channels(layout_of(ob))


def banks_of(ob: bpy.types.Object) -> dict[Bank, list[tuple[str, str]]]:
    """Return for each bank the channel properties and the names of their bases."""
    banks: dict[Bank, list[tuple[str, str]]] = {bank: [] for bank in Bank}
    layout = layout_of(ob)
    for name, basis in zip(layouts.channels(layout), layout.bases, strict=True):
        banks[basis.bank].append((name, basis.name))
    return banks


def read_weights(ob: bpy.types.Object, channels: Sequence[str] | None = None) -> np.ndarray:
    """Return the animated weights, float32 [channels], without gains and emotions (see `final_weights`)."""
    group = ob.edtalk
    names = channels_of(ob) if channels is None else channels
    return np.array([getattr(group, name) for name in names], np.float32)


def final_weights(ob: bpy.types.Object) -> np.ndarray:
    """Return the weights that are shown, float32 [channels]: with the banks' gains, and the emotions on top.

    See `core.weights.mixing`. Give an evaluated object to include drivers and NLA.
    """
    group = ob.edtalk
    mixer = mixing.mixer_from_texts(group.layout, group.rest, group.emotion.presets)
    gains = np.array([getattr(group.gain, bank.value) for bank in Bank], np.float32)
    felt = np.array([getattr(group.emotion, name) for name in EMOTIONS], np.float32)
    return mixer.mix(read_weights(ob), gains, felt * np.float32(group.emotion.strength))


def mixing_settings(ob: bpy.types.Object) -> dict[str, float]:
    """Return the values on which `final_weights` depends beside the weights, by their F-Curve paths."""
    group = ob.edtalk
    gains = {f"edtalk.gain.{bank.value}": getattr(group.gain, bank.value) for bank in Bank}
    names = (*EMOTIONS, "strength")
    return gains | {f"edtalk.emotion.{name}": getattr(group.emotion, name) for name in names}


def write_weights(ob: bpy.types.Object, weights: np.ndarray) -> None:
    """Set the weights, float32 [channels]."""
    for name, value in zip(channels_of(ob), weights, strict=True):
        setattr(ob.edtalk, name, float(value))
    ob.update_tag()


def rest_weights(ob: bpy.types.Object) -> np.ndarray:
    """Return the portrait's own weights, float32 [channels]: with these the picture is the portrait."""
    return mixing.rest_from_json(ob.edtalk.rest, len(layout_of(ob))).copy()


def set_source(
    ob: bpy.types.Object,
    source: str,
    bundle: str,
    layout: BankLayout,
    rest: np.ndarray,
    notes: Sequence[str],
    presets: Presets | None = None,
) -> None:
    """Note on the character what the server said about the portrait and its bundle."""
    group = ob.edtalk
    group.name = group.gain.name = group.emotion.name = GROUP_NAME
    group.source = source
    group.bundle = bundle
    group.layout = layouts.layout_to_json(layout)
    group.rest = json.dumps([float(value) for value in rest])
    group.notes = "\n".join(notes)
    if presets is not None:
        set_presets(ob, presets)


def set_presets(ob: bpy.types.Object, presets: Presets) -> None:
    """Note the bundle's expressions on the character, if they changed."""
    text = mixing.presets_to_json(presets)
    if ob.edtalk.emotion.presets != text:
        ob.edtalk.emotion.presets = text


def data_path(channel: str) -> str:
    """Return the F-Curve path of a channel."""
    return f"edtalk.{channel}"


def portrait_bytes(ob: bpy.types.Object) -> bytes:
    """Return the bytes of the portrait's picture file: the image block's, otherwise the file's.

    Raises `EDTalkError` when it is missing or cannot be read.
    """
    if (image := ob.edtalk.picture.image) is not None:
        return portrait_crop.image_bytes(image)
    return paths.read_file(paths.file_of(ob, "portrait"), "portrait", ErrorCode.IMAGE_UNREADABLE)


def portrait_content(ob: bpy.types.Object) -> Steps[uploads.Content]:
    """Read the portrait for upload, a little at a time, without keeping the object, which an undo may remove."""
    if (image := ob.edtalk.picture.image) is not None:
        return uploads.in_memory(portrait_crop.image_bytes(image))
    return picture_content(paths.file_of(ob, "portrait"))


def further_pictures(ob: bpy.types.Object) -> list[Path]:
    """Return the files of further pictures of the person, in their order. Raises `EDTalkError` for a missing one."""
    chosen = (paths.file_of(ob, name) for name in paths.ALSO)
    return [
        paths.existing_file(path, "picture", ErrorCode.IMAGE_UNREADABLE)
        for path in chosen
        if path is not None
    ]


def prepared_content(ob: bpy.types.Object) -> Steps[list[uploads.Content]]:
    """Read the portrait and the further pictures of the person for upload, as `portrait_content` does."""
    return _contents(portrait_content(ob), further_pictures(ob))


def _contents(reading: Steps[uploads.Content], further: list[Path]) -> Steps[list[uploads.Content]]:
    found = [(yield from reading)]
    for path in further:
        found.append((yield from uploads.on_disk(path, "picture", ErrorCode.IMAGE_UNREADABLE)))
    return found


def picture_content(path: Path | None) -> Steps[uploads.Content]:
    """Read a picture's file for upload. Raises `EDTalkError` when it is missing or cannot be read."""
    file = paths.existing_file(path, "portrait", ErrorCode.IMAGE_UNREADABLE)
    return (yield from uploads.on_disk(file, "portrait", ErrorCode.IMAGE_UNREADABLE))
