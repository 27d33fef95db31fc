# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client tells: the server's messages about jobs as they are, and four of its own. No bpy here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import (
    Bundles,
    Cancelled,
    Done,
    Failed,
    Frame,
    Inspected,
    Message,
    Performance,
    Prepared,
    PreviewFrame,
    Progress,
    Welcome,
)


@dataclass(frozen=True)
class Ready:
    """The server has answered on both lanes. `bundle` describes its model (docs/bundles.md)."""

    welcome: Welcome

    @property
    def bundle(self) -> dict[str, Any]:
        """The bundle's description."""
        return dict(json.loads(self.welcome.bundle))


@dataclass(frozen=True)
class StateChanged:
    """The server is now `warming`, `ready`, `busy` or `stopping`; `activity` says with what."""

    state: str
    activity: str = ""


@dataclass(frozen=True)
class Kept:
    """The server was asked to end, and does not, because others use it."""

    error: EDTalkError


@dataclass(frozen=True)
class Lost:
    """The connection has ended and stays so. Every open operation has got its `Failed` before this event."""

    error: EDTalkError


JobEvent = (
    Inspected | Prepared | Performance | PreviewFrame | Frame | Bundles | Progress | Done | Failed | Cancelled
)
Event = Ready | StateChanged | Kept | Lost | JobEvent
TERMINAL = (Done, Failed, Cancelled)
JOB_EVENTS = get_args(JobEvent)


def is_job_event(message: Message) -> bool:
    """Is this about a job, from the server to the client?"""
    return isinstance(message, JOB_EVENTS)


def failed(job: str, error: EDTalkError) -> Failed:
    """The terminal event of an operation that met `error`."""
    return Failed(job, error.code, error.cause, error.fix)


def raise_if_failed(event: Event) -> None:
    """Raise the `EDTalkError` of a `Failed` event, for code that waits."""
    if isinstance(event, Failed):
        known = event.code in list(ErrorCode)
        raise EDTalkError(ErrorCode(event.code) if known else ErrorCode.INTERNAL, event.cause, event.fix)


def weights_of(event: Performance | Prepared) -> npt.NDArray[np.float32]:
    """The weights of an answer, [frames, channels] (one frame for a portrait), a view of the received bytes."""
    rows = event.frames if isinstance(event, Performance) else 1
    return np.frombuffer(event.weights, "<f4").reshape(rows, -1)


def pixels_of(event: PreviewFrame | Frame) -> npt.NDArray[np.uint8]:
    """The raw RGBA of a picture (of a `Frame` only with encoding `rgba`), [height, width, 4], rows bottom-up."""
    data = event.pixels if isinstance(event, PreviewFrame) else event.data
    return np.frombuffer(data, np.uint8).reshape(event.height, event.width, 4)
