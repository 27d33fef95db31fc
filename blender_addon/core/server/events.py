# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client reports: the server's replies about jobs as they are, and four events of its own. No bpy here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared_protocol.arrays import FloatArray, unpack_weights
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import (
    Cancelled,
    Done,
    Failed,
    Frame,
    JobReply,
    Performance,
    Prepared,
    PreviewFrame,
    Welcome,
)


@dataclass(frozen=True)
class Ready:
    """The server has answered on both channels."""

    welcome: Welcome

    @property
    def bundle(self) -> dict[str, Any]:
        """The description of the server's model (docs/bundles.md)."""
        return dict(json.loads(self.welcome.bundle))


@dataclass(frozen=True)
class StateChanged:
    """The server is now `warming`, `ready`, `busy` or `stopping`; `activity` says with what."""

    state: str
    activity: str = ""


@dataclass(frozen=True)
class StopRefused:
    """The server refused to end because others use it."""

    error: EDTalkError


@dataclass(frozen=True)
class Lost:
    """The connection has ended for good. Every open job got its `Failed` before this event."""

    error: EDTalkError


Event = Ready | StateChanged | StopRefused | Lost | JobReply
TERMINAL = (Done, Failed, Cancelled)
"""One of these is the last event of every job."""


def failed(job: str, error: EDTalkError) -> Failed:
    """Return the terminal event of a job that met `error`."""
    return Failed(job, error.code, error.cause, error.fix)


def raise_if_failed(event: Event) -> None:
    """Raise the `EDTalkError` of a `Failed` event, for code that waits."""
    if isinstance(event, Failed):
        known = event.code in list(ErrorCode)
        raise EDTalkError(ErrorCode(event.code) if known else ErrorCode.INTERNAL, event.cause, event.fix)


def weights_of(event: Performance | Prepared) -> FloatArray:
    """Return the weights of a result, [frames, channels] (one frame for a portrait), a view of the received bytes."""
    return unpack_weights(event.weights, event.frames if isinstance(event, Performance) else 1)


def weights_for(performance: Performance, frames: int) -> FloatArray:
    """Return weights [frames, channels]. Raises `EDTalkError` when the server gave another number of frames."""
    weights = weights_of(performance)
    if len(weights) != frames:
        raise EDTalkError(
            ErrorCode.INTERNAL,
            f"The server gave {len(weights)} frames instead of {frames}.",
            "Install the server and the add-on in the same version.",
        )
    return weights


def pixels_of(event: PreviewFrame | Frame) -> npt.NDArray[np.uint8]:
    """Return a picture's RGBA pixels, [height, width, 4], rows bottom-up. A `Frame` must have the encoding `rgba`."""
    data = event.pixels if isinstance(event, PreviewFrame) else event.data
    return np.frombuffer(data, np.uint8).reshape(event.height, event.width, 4)
