"""Read numbered frames for a movie, uint8 [H, W, 3] in sRGB: PNG and EXR, the formats of `sequence`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenEXR

from edtalk_server.arrays import Picture
from edtalk_server.media.faces.portrait import over_grey
from edtalk_server.media.pictures.light import to_srgb
from edtalk_server.media.video.sequence import is_deep
from shared_protocol.errors import EDTalkError, ErrorCode


def read_still(path: Path, is_cut_out: bool = False) -> Picture:
    """Read a frame without its alpha. Under a matte the colours are complete (see `exr`); over those of a cut-out grey
    shows.

    Raises `EDTalkError(IMAGE_UNREADABLE)`.
    """
    try:
        picture = _read_exr(path) if is_deep(path) else _read_png(path, is_cut_out)
    except (OSError, ValueError, KeyError, RuntimeError, cv2.error) as error:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"The frame “{path.name}” cannot be read ({error}).",
            "Render or bake this frame again.",
        ) from error
    return over_grey(picture) if is_cut_out else np.ascontiguousarray(picture[..., :3])


def _read_png(path: Path, with_alpha: bool) -> Picture:
    """Return [H, W, 3], or [H, W, 4] where alpha is wanted and there is one."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if with_alpha else None
    if decoded is None or decoded.ndim != 3 or decoded.shape[2] != 4 or decoded.dtype != np.uint8:
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("it is no picture")
    return np.ascontiguousarray(decoded[:, :, [2, 1, 0, 3][: decoded.shape[2]]], np.uint8)


def _read_exr(path: Path) -> Picture:
    path.stat()  # OpenEXR does not say that a file is missing
    with OpenEXR.File(str(path)) as file:
        channels = file.channels()
        name = next(name for name in ("RGB", "RGBA") if name in channels)
        linear = np.asarray(channels[name].pixels, np.float32)
    colours = to_srgb(linear[..., :3])
    if name == "RGB":
        return colours
    alpha = np.rint(np.clip(linear[..., 3:], 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.concatenate([colours, alpha], axis=-1)
