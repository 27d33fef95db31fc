"""Read a picture file as people see it: upright, in sRGB, 8 bits, with its own straight alpha."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, UnidentifiedImageError

from edtalk_server.arrays import Bytes, Doubles, Picture
from edtalk_server.media.media_file import regular_file
from edtalk_server.media.pictures import deep, light, png, profiles
from edtalk_server.media.pictures.limits import (
    MAX_PIXELS,
    MAX_SIDE,
    Limit,
    TooLargeError,
    check_size,
    check_volume,
)
from shared_protocol.errors import EDTalkError, ErrorCode

pillow_heif.register_heif_opener(thumbnails=False)

_FORMATS = (
    *("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "TGA", "AVIF", "HEIF"),
    *("JPEG2000", "PPM", "PSD", "SGI"),
)
"""Pillow's names of the formats that we mean. Others stay closed: EPS, say, runs another program."""
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_ROWS = 64
"""Rows that are converted at once, so that little memory is needed beside the picture."""
_DEEP = ("I;16", "I;16L", "I;16B", "I", "F")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
_CHECK_FILE = "Open the picture in an image editor and save it again as PNG or JPEG."
_ORIENTATION = 0x0112
_TURNS = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
"""How a picture becomes upright, by EXIF's orientation."""


def load_picture(source: Path | str | bytes, kind: str = "portrait") -> Picture:
    """Read a picture file (a path or its bytes) as uint8 [H, W, 3], or [H, W, 4] if parts of it are transparent.

    An animation gives its first picture; what a JPEG file lacks at its end is grey. `kind`: its name in errors.
    Raises `EDTalkError`: `IMAGE_UNREADABLE` (missing, no picture, damaged), `TOO_LARGE` (100 megapixels).
    """
    name = f"The {kind}" if isinstance(source, bytes) else f"The {kind} “{Path(source).name}”"
    try:
        picture = _decode(source if isinstance(source, bytes) else _read(Path(source), name))
    except (TooLargeError, Image.DecompressionBombError) as error:
        limit = error.limit if isinstance(error, TooLargeError) else Limit.PIXELS
        raise EDTalkError(
            ErrorCode.TOO_LARGE, _too_large(name, limit), "Scale it down; 2000 pixels in height are plenty."
        ) from error
    except UnidentifiedImageError as error:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE, f"{name} is not a picture: {error}.", _CHECK_FILE
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, KeyError) as error:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE, f"{name} is damaged or incomplete ({error}).", _CHECK_FILE
        ) from error
    is_cut_out = picture.shape[2] == 4 and not (picture[..., 3] == 255).all()
    return picture if is_cut_out else np.ascontiguousarray(picture[..., :3])


def _too_large(name: str, limit: Limit) -> str:
    match limit:
        case Limit.PIXELS:
            cause = f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels."
        case Limit.SIDE:
            cause = f"{name} has more than {MAX_SIDE} pixels a side."
        case Limit.BYTES:
            cause = f"{name} takes more than a gigabyte."
    return cause


def _read(path: Path, name: str) -> bytes:
    try:
        with regular_file(path) as file:
            check_volume(path.stat().st_size)
            return file.read()
    except OSError as error:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"{name} could not be opened ({error.strerror or error}).",
            "Check that the file exists and that you may read it.",
        ) from error


def _decode(data: bytes) -> Picture:
    if data.startswith(light.EXR_START):
        return light.read_exr(data)
    if data.startswith(light.HDR_STARTS):
        return light.read_hdr(data)
    profile = b""
    if data.startswith(png.SIGNATURE):
        data, profile = png.reduced(data)
    elif data.startswith(_JPEG_START):
        data += _JPEG_END  # one too many does no harm, and the decoder fills up what is missing
    with warnings.catch_warnings():
        # check_size looks at the size, with an error that says what to do
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return _with_pillow(data, profile)


def _with_pillow(data: bytes, profile: bytes) -> Picture:
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(_what_it_is(data)) from error
    with image:
        check_size(*image.size)
        profile = profile or image.info.get("icc_profile") or b""
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        values = deep.decode(data, image.size) if deep.is_deep(image, data) else None
        if values is not None:
            pixels = deep.to_8_bit(values, profile)
        else:
            image.load()
            turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))  # some formats turn it themselves
            pixels = _converted(image, profile)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _what_it_is(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if all(byte >= 32 or byte in b"\t\r\n" for byte in data[:512]):
        return "the file holds text, whatever its name says"
    return "no picture format is recognised in it"


def _converted(image: Image.Image, profile: bytes) -> Picture:
    """Return an image of any mode as RGB or RGBA, a few rows at a time."""
    width, height = image.size
    has_alpha = image.mode in _WITH_ALPHA or "transparency" in image.info
    full_scale = _full_scale(image)
    conversion = profiles.to_srgb(profile, _base_mode(image.mode))
    pixels = np.empty((height, width, 4 if has_alpha else 3), np.uint8)
    for top in range(0, height, _ROWS):
        strip = image.crop((0, top, width, min(top + _ROWS, height)))
        if has_alpha:
            strip.info.update({k: v for k, v in image.info.items() if k == "transparency"})
            pixels[top : top + _ROWS, :, 3] = np.asarray(strip.convert("RGBA").getchannel("A"))
        if image.mode in _DEEP:
            strip = Image.fromarray(_to_8_bit(np.asarray(strip, np.float64), full_scale))
        base = strip.convert(_base_mode(strip.mode))
        pixels[top : top + _ROWS, :, :3] = np.asarray(conversion(base) if conversion else base.convert("RGB"))
    return pixels


def _base_mode(mode: str) -> str:
    """Return the mode with the same colours, without alpha and palette, in 8 bits."""
    if mode in ("1", "L", "LA", "La", *_DEEP):
        return "L"
    return mode if mode in ("CMYK", "LAB") else "RGB"


def _full_scale(image: Image.Image) -> float:
    """Return the value of white in a deep image: that of 16-bit integers, or 1 for floats that stay below it."""
    highest = image.getextrema()[1] if image.mode == "F" else 2
    return 1.0 if highest <= 1.0 else 65535.0  # type: ignore[operator]


def _to_8_bit(values: Doubles, full_scale: float) -> Bytes:
    return np.round(np.clip(values / full_scale, 0.0, 1.0) * 255.0).astype(np.uint8)
