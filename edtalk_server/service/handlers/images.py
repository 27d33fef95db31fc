"""Pictures on the wire: how a request wants them."""

from __future__ import annotations

from edtalk_server.media.output_spec import FACE, FULL, OutputSpec
from edtalk_server.workers.images import ENCODERS
from shared_protocol import messages
from shared_protocol.errors import EDTalkError, ErrorCode

PREVIEW_SIDE = 1024
"""Largest side of a full-frame preview in pixels: previews must keep up with scrubbing."""


def output_spec_of(request: messages.Preview | messages.Render) -> OutputSpec:
    """Return how a request wants its pictures. Raises `EDTalkError(UNSUPPORTED)` for an unknown framing or encoding."""
    if request.framing not in (FACE, FULL):
        raise _unknown_format(request.framing)
    size = max(0, request.size)
    if isinstance(request, messages.Preview):
        return OutputSpec(request.framing, largest=PREVIEW_SIDE, size=size)
    if request.encoding not in ENCODERS:
        raise _unknown_format(request.encoding)
    return OutputSpec(
        request.framing, request.alpha, request.encoding == "exr", size=size, cut_out=request.cut_out
    )


def _unknown_format(word: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.UNSUPPORTED,
        f"This server cannot deliver frames as {word[:20]!r}.",
        "Update the EDTalk server.",
    )
