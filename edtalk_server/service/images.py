"""The pictures of the wire: how a request wants them, and their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edtalk_server.media.faces.portrait_quality import Inspection
from edtalk_server.media.output_spec import FACE, FULL, OutputSpec, Rendered
from edtalk_server.media.video.exr import encode_exr
from edtalk_server.media.video.sequence import encode_png
from shared_protocol import messages
from shared_protocol.errors import EDTalkError, ErrorCode

PREVIEW_SIDE = 1024
"""A preview of a full frame has at most so many pixels a side, because it must arrive while somebody scrubs."""


@dataclass(frozen=True)
class Encoded:
    """A picture as it is sent."""

    width: int
    height: int
    data: bytes


def as_rgba(picture: npt.NDArray[np.uint8]) -> bytes:
    """An RGB or RGBA picture as raw RGBA, rows bottom-up, as Blender's images have them."""
    raw = np.full((*picture.shape[:2], 4), 255, np.uint8)
    raw[..., : picture.shape[2]] = picture[::-1]
    return raw.tobytes()


_ENCODERS: dict[str, Any] = {"png": encode_png, "exr": encode_exr, "rgba": as_rgba}


def output_spec_of(request: messages.Preview | messages.Render) -> OutputSpec:
    """How a request wants its pictures. Raises `EDTalkError(UNSUPPORTED)` for words that this server does not know."""
    if request.framing not in (FACE, FULL):
        raise _unknown(request.framing)
    if isinstance(request, messages.Preview):
        return OutputSpec(request.framing, largest=PREVIEW_SIDE)
    if request.encoding not in _ENCODERS:
        raise _unknown(request.encoding)
    return OutputSpec(request.framing, request.alpha, request.encoding == "exr")


def encode(picture: Rendered, encoding: str) -> Encoded:
    """A picture [H, W, 3 or 4] as a file, marked as synthetic like all that leaves the server, or raw (`rgba`)."""
    return Encoded(picture.shape[1], picture.shape[0], _ENCODERS[encoding](picture))


def inspected(job: str, found: Inspection) -> messages.Inspected:
    """What was found, as a message."""
    judgement = found.judgement
    return messages.Inspected(
        job,
        found.width,
        found.height,
        judgement.verdict.value,
        judgement.advice,
        judgement.crop,
        found.faces,
        judgement.turned,
    )


def _unknown(word: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.UNSUPPORTED, f"Frames cannot be had as {word[:20]!r}.", "Update the EDTalk server."
    )
