"""What the service needs from a model (`Backend`), and weights on the wire. The transport knows nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Rendered, Weights
from edtalk_server.media.faces.portrait_quality import Inspection
from edtalk_server.media.output_spec import OutputSpec
from edtalk_server.media.steps import Checkpoint, Steps
from shared_protocol.codec import Buffer
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Capture, Crop, Predict

if TYPE_CHECKING:
    from edtalk_server.motion import Captured, Predicted

Finished = TypeVar("Finished")
"""What a frame becomes, such as the bytes of a file."""

_LARGEST_WEIGHT = 1e4
"""Weights beyond this, in natural units, are taken for errors."""


class WorkCancelled(Exception):  # noqa: N818 (not an error: the job was cancelled)
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
    def size(self) -> int: ...
    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def gives(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def landmarks(self) -> tuple[float, ...]: ...
    def side(self, most: int) -> int: ...
    @property
    def is_cut_out(self) -> bool: ...
    @property
    def full_size(self) -> tuple[int, int]: ...
    @property
    def nbytes(self) -> int: ...


class Backend(Protocol):
    """The model behind the service. The model's worker calls everything but the attributes and what any thread may.

    `description`: the bundle as JSON text for clients. `size`: the side of a frame in pixels. `channels`: the number
    of weights. `largest_batch`: the most frames that `render` gets at once.
    """

    description: str
    channels: int
    size: int
    device: str
    largest_batch: int

    @property
    def notice(self) -> str:
        """How it computes when memory is short, for people; empty when all is well. Any thread."""

    @property
    def path(self) -> str:
        """The fastest way to draw that is ready; all frames of a job take the same, so that they fit. Any thread."""

    @property
    def previews_apart(self) -> bool:
        """May `preview` run beside all other work? Any thread."""

    @property
    def side_by_side(self) -> int:
        """How many frames take about as long as one. Any thread."""

    def open(self) -> None:
        """Load the model and warm it up (slow)."""

    def inspect(self, portrait: bytes, crop: Crop | None) -> Steps[Inspection]:
        """Return what an image file shows, and how good it is; with a `crop`, how good that is. In
        steps."""

    def prepare(self, portrait: bytes, crop: Crop | None, also: Sequence[bytes] = ()) -> Steps[Source]:
        """Encode an image file, in steps. Without a `crop` the face is found. `also`: files of the same person."""

    def predict(self, source: Source, voice: bytes, request: Predict, checkpoint: Checkpoint) -> Predicted:
        """Return the performance of an audio file (empty: of the words alone).

        `checkpoint` raises `WorkCancelled` when nobody wants it any more.
        """

    def capture(self, source: Source, video: Buffer, request: Capture) -> Steps[Captured]:
        """Return the performance of a driving video, in steps."""

    def release(self) -> None:
        """Give the accelerator's memory back until the next call, and that of helpers."""

    def device_memory(self) -> tuple[int, int]:
        """Return the bytes held of the accelerator's memory, and its size; 0 and 0 without one. Any thread."""

    def helpers_memory(self) -> int:
        """Return the bytes of memory of the processes that draw beside this one. Any thread."""

    def expect(self, frames: int) -> None:
        """Get ready for a render of so many frames, without waiting for it."""

    def render(
        self,
        source: Source,
        weights: Weights,
        output: OutputSpec,
        finish: Callable[[Rendered], Finished],
        path: str = "",
    ) -> list[Finished]:
        """Return what `finish` makes of each frame [H, W, 3 or 4] of weights [B, channels]; frames may be drawn and
        finished side by side. `path` is one that `path` has named."""

    def preview(
        self, source: Source, weights: Weights, output: OutputSpec, finish: Callable[[Rendered], Finished]
    ) -> Finished:
        """Return what `finish` makes of the frame of weights [1, channels], before the frames of a `render` that runs
        in another thread (see `previews_apart`)."""


def read_weights(data: Buffer, rows: int, channels: int) -> Weights:
    """Return weights [rows, channels] from the wire. Raises `EDTalkError(BAD_WEIGHTS)`."""
    if len(data) != rows * channels * 4:
        raise _bad_weights(f"The weights are not {rows} rows of {channels} numbers.")
    weights = np.frombuffer(data, "<f4").astype(np.float32).reshape(rows, channels)
    if not np.isfinite(weights).all() or (weights.size and float(np.abs(weights).max()) > _LARGEST_WEIGHT):
        raise _bad_weights("A weight is not a number, or is far out of range.")
    return weights


def write_weights(weights: npt.NDArray[Any]) -> bytes:
    """Return weights as they cross the wire: little-endian float32, C order."""
    return np.ascontiguousarray(weights, "<f4").tobytes()


def _bad_weights(cause: str) -> EDTalkError:
    return EDTalkError(ErrorCode.BAD_WEIGHTS, cause, "Check the character's keyframes and drivers.")
