"""Colour pictures of 16 bits a channel (PNG, TIFF), which Pillow cuts down to 8 before a profile is applied."""

from __future__ import annotations

import struct
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from edtalk_server.arrays import Doubles, Picture
from edtalk_server.media.pictures import profiles
from edtalk_server.media.pictures.light import to_srgb

Deep = npt.NDArray[np.uint16]
"""A picture [H, W, 3 or 4] of 16 bits a channel."""

_ROWS = 64
"""Rows that are converted at once."""
_BITS = 258
"""TIFF's tag for the bits of each channel."""
_SRGB_OF_XYZ = np.linalg.inv(
    [[0.4360657, 0.3851515, 0.1430784], [0.2224932, 0.7168870, 0.0606169], [0.0139160, 0.0970764, 0.7140961]]
)
"""From XYZ at D50 to the linear light of sRGB (IEC 61966-2-1, adapted after Bradford)."""
_Curve = Callable[[Doubles], Doubles]


def is_deep(image: Image.Image, data: bytes) -> bool:
    """Tell whether an opened file holds colours of 16 bits."""
    if image.format == "PNG":
        return data[24:26] in (b"\x10\x02", b"\x10\x06")  # IHDR: depth, colours with and without alpha
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.mode in ("RGB", "RGBA", "RGBX") and set(image.tag_v2.get(_BITS, ())) == {16}
    return False


def decode(data: bytes, size: tuple[int, int]) -> Deep | None:
    """Decode such a file, whose width and height are known; None where it is of a kind that only Pillow reads."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[1::-1] != size:
        return None
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return np.asarray(pixels[..., order], np.uint16)


def to_8_bit(pixels: Deep, profile: bytes) -> Picture:
    """Return a picture of 16 bits with a colour profile (or none) as 8-bit sRGB, rounded once where the profile is a
    matrix with curves."""
    convert = _conversion(profile)
    picture = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _ROWS):
        part = pixels[top : top + _ROWS]
        picture[top : top + _ROWS, :, 3:] = np.rint(part[..., 3:] / 257.0)
        picture[top : top + _ROWS, :, :3] = convert(part[..., :3] / 65535.0)
    return picture


def _conversion(profile: bytes) -> Callable[[Doubles], Picture]:
    def rounded(values: Doubles) -> Picture:
        return np.asarray(np.rint(values * 255.0), np.uint8)

    simple = profiles.to_srgb(profile, "RGB")
    if simple is None:
        return rounded
    if (matrix := _matrix_profile(profile)) is None:
        return lambda values: np.asarray(simple(Image.fromarray(rounded(values))), np.uint8)
    curves, to_xyz = matrix
    to_linear = _SRGB_OF_XYZ @ to_xyz

    def converted(values: Doubles) -> Picture:
        light = np.stack([curve(values[..., channel]) for channel, curve in enumerate(curves)], axis=-1)
        return to_srgb(np.asarray(light @ to_linear.T, np.float32))

    return converted


def _matrix_profile(profile: bytes) -> tuple[list[_Curve], Doubles] | None:
    """Return the curves and the matrix to XYZ at D50 of a profile (ICC.1:2022, 8.3); None where it has tables."""
    try:
        count = struct.unpack_from(">I", profile, 128)[0]
        entries = (struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100)))
        tags = {name: profile[start : start + size] for name, start, size in entries}
        if b"A2B0" in tags:
            return None
        columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        return [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")], np.stack(columns, axis=1)
    except (struct.error, KeyError, ValueError, ZeroDivisionError):
        return None


def _xyz(tag: bytes) -> Doubles:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536.0


def _curve(tag: bytes) -> _Curve:
    """Return the way from values to light. Raises `ValueError` for a curve of another type."""
    if tag[:4] == b"para":
        return _parametric(struct.unpack_from(">H", tag, 8)[0], tag[12:])
    if tag[:4] != b"curv":
        raise ValueError("an unknown type of curve")
    count = struct.unpack_from(">I", tag, 8)[0]
    table = np.frombuffer(tag, ">u2", count, 12)
    if count == 0:
        return lambda values: values
    if count == 1:
        gamma = float(table[0]) / 256.0
        return lambda values: np.asarray(values**gamma)
    steps, heights = np.linspace(0.0, 1.0, count), table / 65535.0
    return lambda values: np.interp(values, steps, heights)


def _parametric(kind: int, body: bytes) -> _Curve:
    """Return a parametric curve (ICC.1:2022, 10.18): a power with an offset, and a straight line below it."""
    count = (1, 3, 4, 5, 7)[kind] if kind < 5 else 0
    if not count:
        raise ValueError("an unknown type of curve")
    numbers = [number / 65536.0 for number in struct.unpack_from(f">{count}i", body)]
    g, a, b, c, d, e, f = numbers + [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][count:]
    if kind in (1, 2):
        c, d, e, f = 0.0, -b / a, c, c

    def curve(values: Doubles) -> Doubles:
        power = np.maximum(a * values + b, 0.0) ** g + e
        return np.asarray(np.where(values >= d, power, c * values + f))

    return curve
