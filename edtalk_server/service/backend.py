"""What the service needs from the model, and the pictures on the wire. The transport knows nothing else of
it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from edtalk_server.media.faces.portrait_quality import Inspection
from edtalk_server.media.output_spec import OutputSpec, Rendered
from edtalk_server.media.steps import Steps
from shared_protocol.codec import Buffer
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Capture, Crop, Predict

if TYPE_CHECKING:
    from edtalk_server.motion import Captured

Weights = npt.NDArray[np.float32]
Checkpoint = Callable[[], None]
"""Called between pieces of long work; raises `Abandoned` when nobody wants the result any more."""


class Abandoned(Exception):  # noqa: N818 (not an error: the job was cancelled)
    """The job that this work was for has ended."""


class Source(Protocol):
    """An encoded portrait (see `edtalk_server.engine`)."""

    @property
    def key(self) -> str: ...
    @property
    def weights(self) -> Weights: ...
    @property
    def crop(self) -> Crop: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def verdict(self) -> str: ...
    @property
    def full_size(self) -> tuple[int, int]: ...
    @property
    def nbytes(self) -> int: ...


class Backend(Protocol):
    """The model behind the service. All but the attributes is called by the worker thread only.

    `description` is the bundle's JSON text for clients, `size` the side of a frame in pixels, `channels` the
    number of weights, `largest_batch` the most frames that `render` is given at once.
    """

    description: str
    channels: int
    size: int
    device: str
    largest_batch: int

    @property
    def notice(self) -> str:
        """What people should know about how it computes now (memory was short); empty when all is well. Any thread."""

    def open(self) -> None:
        """Load the model and warm it up (slow)."""

    def inspect(self, portrait: bytes, crop: Crop | None) -> Inspection:
        """What an image file shows; with a `crop`, what that is worth."""

    def prepare(self, portrait: bytes, crop: Crop | None) -> Source:
        """Encode an image file; `crop` None finds the face."""

    def predict(self, source: Source, voice: bytes, request: Predict, checkpoint: Checkpoint) -> Weights:
        """The performance [frames, channels] of an audio file."""

    def capture(self, source: Source, video: Buffer, request: Capture) -> Steps[Captured]:
        """The performance of a driving video, in steps."""

    def release(self) -> None:
        """Give the accelerator's memory back until the next call."""

    def device_memory(self) -> tuple[int, int]:
        """Bytes held of the accelerator's memory, and what it has; 0 and 0 without one. Any thread."""

    def render(self, source: Source, weights: Weights, look: OutputSpec) -> Rendered:
        """Frames of weights [B, channels] as wanted: [B, H, W, 3 or 4]."""


def read_weights(data: Buffer, rows: int, channels: int) -> Weights:
    """Weights [rows, channels] from the wire. Raises `EDTalkError(BAD_WEIGHTS)`."""
    if len(data) != rows * channels * 4:
        raise _bad_weights(f"The weights are not {rows} rows of {channels} numbers.")
    weights = np.frombuffer(data, "<f4").astype(np.float32).reshape(rows, channels)
    if not np.isfinite(weights).all() or (weights.size and float(np.abs(weights).max()) > _LARGEST_WEIGHT):
        raise _bad_weights("A weight is not a number, or far out of any range.")
    return weights


def write_weights(weights: npt.NDArray[Any]) -> bytes:
    """Weights as they cross the wire: little-endian float32, C order."""
    return np.ascontiguousarray(weights, "<f4").tobytes()


_LARGEST_WEIGHT = 1e4


def _bad_weights(cause: str) -> EDTalkError:
    return EDTalkError(ErrorCode.BAD_WEIGHTS, cause, "Check the character's keyframes and drivers.")
