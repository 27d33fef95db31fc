"""Pictures as they leave: files marked as synthetic, or raw pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edtalk_server.arrays import Picture, Rendered
from edtalk_server.media.video.exr import encode_exr
from edtalk_server.media.video.sequence import encode_png


@dataclass(frozen=True)
class EncodedImage:
    """A picture as it is sent: a file, or raw pixels."""

    width: int
    height: int
    data: bytes


def as_rgba(picture: Picture) -> bytes:
    """Return an RGB or RGBA picture as raw RGBA, rows bottom-up, as Blender stores images."""
    raw = np.full((*picture.shape[:2], 4), 255, np.uint8)
    raw[..., : picture.shape[2]] = picture[::-1]
    return raw.tobytes()


ENCODERS: dict[str, Callable[[Rendered], bytes]] = {"png": encode_png, "exr": encode_exr, "rgba": as_rgba}
"""How a picture is encoded, by the word of a request."""


def encode(picture: Rendered, encoding: str) -> EncodedImage:
    """Encode a picture [H, W, 3 or 4]: as a file marked as synthetic (`png`, `exr`), or raw (`rgba`)."""
    return EncodedImage(picture.shape[1], picture.shape[0], ENCODERS[encoding](picture))
