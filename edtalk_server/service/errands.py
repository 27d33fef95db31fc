"""Jobs that are done in steps: what a request asks for, as steps that end in its result (see `media.steps`).

An errand runs on a worker, a little at a time (`advance`), and can be closed between two times; that leaves no
half-made file behind.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, assert_never

from edtalk_server.media.steps import Step, Steps
from shared_protocol import messages
from shared_protocol.codec import Buffer
from shared_protocol.messages import Blob, Message

from .backend import Backend, write_weights
from .pace import LONGEST_STEP_S

ErrandRequest = messages.Capture


@dataclass(frozen=True)
class Advance:
    """How far an errand is (`step`), or that it has ended, with its result if it has one."""

    step: Step | None = None
    result: Message | None = None


def errand_for(
    request: ErrandRequest, backend: Backend, source: Any, attachment: Buffer
) -> Steps[Message | None]:
    """The steps of a request. Nothing happens before the first of them is taken."""
    match request:
        case messages.Capture():
            return _capture(request, backend, source, attachment)
        case _:
            assert_never(request)


def advance(errand: Steps[Message | None], seconds: float = LONGEST_STEP_S) -> Advance:
    """Take steps for a moment. Raises what the work raises."""
    end = time.monotonic() + seconds
    try:
        while True:
            step = next(errand)
            if time.monotonic() >= end:
                return Advance(step)
    except StopIteration as stop:
        return Advance(result=stop.value)


def _capture(
    request: messages.Capture, backend: Backend, source: Any, video: Buffer
) -> Steps[Message | None]:
    weights, notes = yield from backend.capture(source, video, request)
    rows, channels = weights.shape
    return messages.Performance(request.job, rows, channels, Blob(write_weights(weights)), notes)
