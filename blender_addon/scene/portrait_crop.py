# SPDX-License-Identifier: GPL-3.0-or-later
"""The portrait's crop, its image block, and what the server saw in it (`ob.edtalk.picture`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import bpy
import numpy as np

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop, Inspected, Prepared

from ..core import bmp
from .paths import ALSO

TAG = "edtalk"
READABLE = {"PNG", "JPEG", "BMP", "TIFF", "WEBP"}
"""File formats that go to the server as they are; others are sent as Blender shows them."""
_KNEE = 0.0031308


def can_be_portrait(image: bpy.types.Image) -> bool:
    """Return whether an image block can be a portrait: not one of our planes'."""
    return not image.get(TAG) and image.source in {"FILE", "GENERATED"}


# --- the crop --------------------------------------------------------------------------------------------------------


def crop_of(ob: bpy.types.Object) -> Crop | None:
    """Return the crop that the artist chose; None: the server finds the face."""
    group = ob.edtalk.picture
    if group.side == 0.0:
        return None
    return Crop(group.center_x, group.center_y, group.side, group.roll)


def set_crop(ob: bpy.types.Object, crop: Crop | None) -> None:
    """Choose a crop; None: let the server find the face."""
    group, chosen = ob.edtalk.picture, crop or Crop()
    for name in ("center_x", "center_y", "side", "roll"):
        setattr(group, name, getattr(chosen, name))


def identity(ob: bpy.types.Object) -> str:
    """Return which picture and crop are used: when this changes, the portrait is prepared again."""
    group = ob.edtalk.picture
    image = group.image.name_full if group.image is not None else ""
    further = "".join(f"|{path}" for path in (getattr(ob.edtalk, name) for name in ALSO) if path)
    return f"{ob.edtalk.portrait}|{image}|{crop_of(ob)}{further}"


# --- what the server saw ---------------------------------------------------------------------------------------------


def remember(ob: bpy.types.Object, inspected: Inspected) -> None:
    """Note on the character what the server said about the picture."""
    known = _record(ob)
    record = {
        "of": identity(ob),
        "verdict": inspected.verdict,
        "advice": inspected.advice,
        "size": (inspected.width, inspected.height),
        "crop": _numbers(inspected.crop),
        "faces": [_numbers(face) for face in inspected.faces],
        "landmarks": known.get("landmarks", []) if known.get("of") == identity(ob) else [],
    }
    ob.edtalk.picture.seen = json.dumps(record)


def remember_prepared(ob: bpy.types.Object, prepared: Prepared) -> None:
    """Note what `Prepared` says, unless more is known about the same picture and crop, or the character is linked."""
    if not is_seen(ob) and ob.is_editable:
        advice = "" if prepared.verdict == "good" else " ".join(prepared.notes)
        size = prepared.full_width, prepared.full_height
        remember(ob, Inspected("", *size, prepared.verdict, advice, prepared.crop))
    known = _record(ob)
    told = {"landmarks": list(prepared.landmarks), "gives": list(prepared.also)}
    if ob.is_editable and any(known.get(name, []) != value for name, value in told.items()):
        ob.edtalk.picture.seen = json.dumps({**known, **told})


def landmarks(ob: bpy.types.Object) -> tuple[float, ...]:
    """Return the 68 points of the face that the server found, x and y in turn, in fractions of the crop; none where it
    did not say."""
    known = _record(ob)
    return tuple(known.get("landmarks", ())) if known.get("of") == identity(ob) else ()


def gives(ob: bpy.types.Object) -> tuple[str, ...]:
    """Return what each further picture gives, as the server names it (`Prepared.also`); none where it did not say."""
    known = _record(ob)
    return tuple(known.get("gives", ())) if known.get("of") == identity(ob) else ()


def is_seen(ob: bpy.types.Object) -> bool:
    """Return whether the server looked at this picture and crop."""
    return _record(ob).get("of") == identity(ob)


def seen(ob: bpy.types.Object) -> Inspected | None:
    """Return what the server saw last, perhaps with another crop; None when it was never asked."""
    known = _record(ob)
    if not known:
        return None
    faces, (width, height) = tuple(Crop(*face) for face in known["faces"]), known["size"]
    return Inspected("", width, height, known["verdict"], known["advice"], Crop(*known["crop"]), faces)


def check_shown(size: tuple[int, int], inspected: Inspected | None) -> None:
    """Raise `EDTalkError` when Blender shows the photo otherwise than the server reads it: not at all (HEIC), or on its
    side, where the server rotates it as its EXIF says."""
    if 0 in size:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            "The server reads this kind of picture, but Blender cannot show it.",
            "Save it as PNG or JPEG in a picture program, or type the crop's numbers.",
        )
    if inspected is not None and (inspected.width, inspected.height) == size[::-1] and size[0] != size[1]:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            "The photo is stored lying on its side, and Blender shows it so.",
            "Save it upright in a picture program, or type the crop's numbers.",
        )


def _record(ob: bpy.types.Object) -> Mapping[str, Any]:
    return _read_record(ob.edtalk.picture.seen)


@lru_cache(maxsize=32)
def _read_record(text: str) -> Mapping[str, Any]:
    known: dict[str, Any] = json.loads(text) if text else {}
    return known


def _numbers(crop: Crop) -> tuple[float, float, float, float]:
    return crop.center_x, crop.center_y, crop.side, crop.roll


# --- image blocks ----------------------------------------------------------------------------------------------------


def image_bytes(image: bpy.types.Image) -> bytes:
    """Return an image block as the bytes of a picture file, without writing to disk.

    A packed file is taken as it is, everything else as its pixels are now (painted ones too). Raises `EDTalkError` when
    there are none.
    """
    if image.packed_file is not None and not image.is_dirty and image.file_format in READABLE:
        return bytes(image.packed_file.data)
    width, height = image.size
    if not image.has_data and not width:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"The image {image.name} has no pixels.",
            "Find its file (File > External Data), or choose another image.",
        )
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    return bmp.encode(_rgba(pixels.reshape(height, width, image.channels), image.is_float))


def _rgba(pixels: np.ndarray, is_linear: bool) -> np.ndarray:
    """Convert Blender's floats [height, width, 1 to 4] to bytes [height, width, 4]."""
    colors = pixels[..., [0, 0, 0]] if pixels.shape[-1] < 3 else pixels[..., :3]
    colors = np.clip(colors, 0.0, 1.0)
    if is_linear:
        colors = np.where(colors <= _KNEE, colors * 12.92, 1.055 * colors ** (1 / 2.4) - 0.055)
    opaque = np.full((*colors.shape[:2], 1), 255, np.uint8)
    return np.concatenate([np.round(colors * 255).astype(np.uint8), opaque], axis=-1)
