"""Read numbered frames for a movie, uint8 [H, W, 3] in sRGB: PNG and EXR, the formats of `sequence`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenEXR

from edtalk_server.arrays import Picture
from edtalk_server.media.pictures.light import to_srgb
from edtalk_server.media.video.sequence import is_deep
from shared_protocol.errors import EDTalkError, ErrorCode


def read_still(path: Path) -> Picture:
    """Read a frame without its alpha: the colours under it are complete (see `exr`).

    Raises `EDTalkError(IMAGE_UNREADABLE)`.
    """
    try:
        picture = _read_exr(path) if is_deep(path) else _read_png(path)
    except (OSError, ValueError, KeyError, RuntimeError, cv2.error) as error:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"The frame “{path.name}” cannot be read ({error}).",
            "Render or bake this frame again.",
        ) from error
    return picture


def _read_png(path: Path) -> Picture:
    decoded = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("it is no picture")
    return np.ascontiguousarray(decoded[:, :, ::-1], np.uint8)


def _read_exr(path: Path) -> Picture:
    path.stat()  # OpenEXR does not say that a file is missing
    with OpenEXR.File(str(path)) as file:
        channels = file.channels()
        name = next(name for name in ("RGB", "RGBA") if name in channels)
        linear = np.asarray(channels[name].pixels[..., :3], np.float32)
    return to_srgb(linear)
