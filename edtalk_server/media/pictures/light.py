"""Pictures in linear light, OpenEXR and Radiance HDR, encoded as 8-bit sRGB; light beyond white is clipped."""

from __future__ import annotations

import io
import re
from typing import Any

import cv2
import numpy as np
import OpenEXR

from edtalk_server.arrays import Floats, Picture
from edtalk_server.media.pictures.limits import check_size, check_volume

EXR_START = b"\x76\x2f\x31\x01"
HDR_STARTS = (b"#?RADIANCE", b"#?RGBE")

_KNEE, _SLOPE, _POWER, _SCALE = 0.0031308, 12.92, 2.4, 1.055  # IEC 61966-2-1
_ROWS = 64
"""Rows that are encoded at once."""
_BEAUTY = ("", "Combined", "rgba", "RGBA", "beauty", "Beauty")
"""Names of the layer with the picture, in the order of preference."""
_RESOLUTION = re.compile(rb"\n-Y (\d{1,9}) \+X (\d{1,9})\n")


def to_srgb(linear: Floats) -> Picture:
    """Encode linear light as 8-bit sRGB; values beyond 0 to 1 are clipped."""
    light = np.clip(np.nan_to_num(linear), 0.0, 1.0)
    curved = np.where(light <= _KNEE, light * _SLOPE, _SCALE * light ** (1 / _POWER) - (_SCALE - 1))
    return np.asarray(np.round(curved * 255.0), np.uint8)


def read_hdr(data: bytes) -> Picture:
    """Read a Radiance HDR file, uint8 [H, W, 3]. Raises `ValueError`, and `TooLargeError` before it is decoded."""
    resolution = _RESOLUTION.search(data[:4096])
    if resolution is None:
        raise ValueError("its size is not stated")
    check_size(int(resolution[2]), int(resolution[1]))
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.dtype != np.float32:
        raise ValueError("it cannot be decoded")
    return _encoded([np.asarray(pixels[..., channel], np.float32) for channel in (2, 1, 0)], None)


def read_exr(data: bytes) -> Picture:
    """Read an OpenEXR file's picture, uint8 [H, W, 3], or [H, W, 4] with straight alpha.

    Of several layers it is the combined one. Raises `ValueError`, and `TooLargeError` before it is decoded.
    """
    with OpenEXR.File(io.BytesIO(data), header_only=True) as file:
        headers = [dict(file.header(index)) for index in range(len(file.parts))]
    for header in headers:
        width, height = _extent(header["dataWindow"])
        check_size(width, height)
        check_size(*_extent(header["displayWindow"]))
    check_volume(sum(_volume(header) for header in headers))
    with OpenEXR.File(io.BytesIO(data), separate_channels=True) as file:
        for index, header in enumerate(headers):
            channels = {name: channel.pixels for name, channel in file.channels(index).items()}
            if (prefix := _layer(channels)) is not None:
                return _in_frame(_picture(channels, prefix), header)
    raise ValueError("it has no colours")


def _volume(header: dict[str, Any]) -> int:
    """Return how many bytes a part has when it is decoded, at most."""
    width, height = _extent(header["dataWindow"])
    return width * height * 4 * len(header["channels"])


def _extent(window: Any) -> tuple[int, int]:
    (left, top), (right, bottom) = window
    return int(right) - int(left) + 1, int(bottom) - int(top) + 1


def _picture(channels: dict[str, Floats], prefix: str) -> Picture:
    names = [f"{prefix}{letter}" for letter in "RGB"]
    colours = [channels[name] for name in names] if names[0] in channels else 3 * [channels[f"{prefix}Y"]]
    if any(colour.shape != colours[0].shape for colour in colours):
        raise ValueError("its colours have several sizes")
    return _encoded(colours, channels.get(f"{prefix}A"))


def _layer(channels: dict[str, Floats]) -> str | None:
    """Return the start of the names of the picture's channels; None where there are no colours."""
    prefixes = [
        name[:-1]
        for name in channels
        if name.endswith("R") and {name[:-1] + c for c in "GB"} <= set(channels)
    ]
    prefixes = prefixes or [name[:-1] for name in channels if name == "Y" or name.endswith(".Y")]

    def rank(prefix: str) -> tuple[int, str]:
        layer = prefix.rstrip(".").rpartition(".")[2]
        return _BEAUTY.index(layer) if layer in _BEAUTY else len(_BEAUTY), prefix

    return min(prefixes, key=rank, default=None)


def _encoded(colours: list[Floats], alpha: Floats | None) -> Picture:
    """Encode channels [H, W], a few rows at a time. By the formats' rules colours are multiplied by alpha."""
    height, width = colours[0].shape
    picture = np.empty((height, width, 3 if alpha is None else 4), np.uint8)
    for row in range(0, height, _ROWS):
        part = slice(row, row + _ROWS)
        light = np.stack([colour[part] for colour in colours], axis=-1).astype(np.float32)
        if alpha is not None:
            cover = np.clip(np.nan_to_num(alpha[part].astype(np.float32)), 0.0, 1.0)
            light /= np.where(cover > 0, cover, 1.0)[..., None]
            picture[part, :, 3] = np.rint(cover * 255.0)
        picture[part, :, :3] = to_srgb(light)
    return picture


def _in_frame(picture: Picture, header: dict[str, Any]) -> Picture:
    """Return what lies in the file's frame: pixels beyond it are cut off, and what it lacks is transparent."""
    data, frame = (np.array(header[name], np.int64) for name in ("dataWindow", "displayWindow"))
    if (data == frame).all():
        return picture
    width, height = _extent(header["displayWindow"])
    first, last = np.maximum(data[0], frame[0]), np.minimum(data[1], frame[1]) + 1
    if (first >= last).any():
        raise ValueError("its pixels lie outside its frame")
    whole = np.zeros((height, width, 4), np.uint8)
    (left, top), (right, bottom) = first - frame[0], last - frame[0]
    (x, y), (x_end, y_end) = first - data[0], last - data[0]
    whole[top:bottom, left:right, : picture.shape[2]] = picture[y:y_end, x:x_end]
    if picture.shape[2] == 3:
        whole[top:bottom, left:right, 3] = 255
    return whole
