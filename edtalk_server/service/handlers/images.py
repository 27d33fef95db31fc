"""Pictures on the wire: how a request wants them, and their bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edtalk_server.arrays import Picture, Rendered
from edtalk_server.media.output_spec import FACE, FULL, OutputSpec
from edtalk_server.media.video.exr import encode_exr
from edtalk_server.media.video.sequence import encode_png
from shared_protocol import messages
from shared_protocol.errors import EDTalkError, ErrorCode

PREVIEW_SIDE = 1024
"""Largest side of a full-frame preview in pixels: previews must keep up with scrubbing."""


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


_ENCODERS: dict[str, Callable[[Rendered], bytes]] = {"png": encode_png, "exr": encode_exr, "rgba": as_rgba}


def output_spec_of(request: messages.Preview | messages.Render) -> OutputSpec:
    """Return how a request wants its pictures. Raises `EDTalkError(UNSUPPORTED)` for an unknown framing or encoding."""
    if request.framing not in (FACE, FULL):
        raise _unknown_format(request.framing)
    size = max(0, request.size)
    if isinstance(request, messages.Preview):
        return OutputSpec(request.framing, largest=PREVIEW_SIDE, size=size)
    if request.encoding not in _ENCODERS:
        raise _unknown_format(request.encoding)
    return OutputSpec(request.framing, request.alpha, request.encoding == "exr", size=size)


def encode(picture: Rendered, encoding: str) -> EncodedImage:
    """Encode a picture [H, W, 3 or 4]: as a file marked as synthetic (`png`, `exr`), or raw (`rgba`)."""
    return EncodedImage(picture.shape[1], picture.shape[0], _ENCODERS[encoding](picture))


def _unknown_format(word: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.UNSUPPORTED,
        f"This server cannot deliver frames as {word[:20]!r}.",
        "Update the EDTalk server.",
    )
