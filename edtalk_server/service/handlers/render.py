"""`Render`: many frames, a batch at a time, as far as the client has given credit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edtalk_server.media.output_spec import FULL
from edtalk_server.workers import EncodedImage
from shared_protocol import messages
from shared_protocol.messages import Blob, Message

from .. import limits
from ..backend import read_weights
from .handler import Answer, Handler, Resources, WorkerKind, handles
from .images import output_spec_of
from .throughput import Throughput


@dataclass(frozen=True)
class _Batch:
    """Drawn frames, and the row of the first one."""

    first: int
    images: list[EncodedImage]


@handles(messages.Render)
class RenderHandler(Handler[messages.Render]):
    """Render frames in their order. Each step is one batch; a slow reader holds the job back by its credit.

    Several workers may have a step at once; their frames wait until those before them are there.
    """

    worker = WorkerKind.DRAWING
    is_parallel = True

    capabilities = ("render.png", "render.rgba", "render.exr", "full", "alpha", "size", messages.CUT_OUT)

    def __init__(self, request: messages.Render, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        limits.check_not_empty(request)
        self._output = output_spec_of(request)
        self._source = resources.sources.get(request.source)
        self._path = resources.drawing.path
        self._throughput = Throughput(len(request.frames), now)
        self._weights = read_weights(request.weights, len(request.frames), resources.backend.channels)
        self._next_row = 0
        self._drawn = dict[int, list[EncodedImage]]()
        """Batches that are done before the one ahead of them, by their first row."""
        self.credit = min(limits.MAX_CREDIT, max(0, request.credit))
        self._unread = deque[int]()
        """Bytes of each frame that was sent and may not have been read."""

    @property
    def bytes_held(self) -> int:
        """The weights of all frames."""
        return self._weights.nbytes

    @property
    def is_ready(self) -> bool:
        """Is there credit, a frame that no step has taken, and not too much unread?"""
        has_room = sum(self._unread) <= limits.MAX_UNREAD_BYTES
        return has_room and self.credit > 0 and self._next_row < len(self.request.frames)

    def add_credit(self, frames: int) -> None:
        """Allow more frames, within the limit that keeps memory bounded: as many were read."""
        self.credit = min(limits.MAX_CREDIT, self.credit + max(0, frames))
        for _ in range(min(max(0, frames), len(self._unread))):
            self._unread.popleft()

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], _Batch]:
        """Return the work of one batch; its frames are paid from the credit."""
        is_large = self._output.framing == FULL or self._source.side(self._output.size) > self._source.size
        drawing, source, output = self.resources.drawing, self._source, self._output
        if not self._next_row:
            drawing.expect(len(self.request.frames))
        several = 1 if is_large else self.resources.batch_size.frames  # large ones take long enough
        batch = max(several, drawing.side_by_side)
        first = self._next_row
        rows = self._weights[self._next_row : self._next_row + min(batch, self.credit)]
        self._next_row += len(rows)
        self.credit -= len(rows)
        encoding, path = self.request.encoding, self._path
        return lambda: _Batch(first, drawing.draw(source, rows, output, encoding, path))

    def answer(self, batch: _Batch, seconds: float, now: float) -> Answer:
        """Answer with the frames whose turn it is, and the progress."""
        self.resources.batch_size.adapt(len(batch.images), seconds, self.resources.backend.largest_batch)
        self._drawn[batch.first] = batch.images
        value: list[EncodedImage] = []
        while (row := self._throughput.done + len(value)) in self._drawn:
            value += self._drawn.pop(row)
        if not value:
            return Answer(has_ended=False)
        numbers = self.request.frames[self._throughput.done :]
        self._throughput.advance(len(value), now)
        self._unread.extend(len(image.data) for image in value)
        frames: list[Message] = [
            messages.Frame(self.request.job, number, image.width, image.height, Blob(image.data))
            for number, image in zip(numbers, value, strict=False)
        ]
        return Answer((*frames, self._progress()), self._throughput.done == self._throughput.total)

    def _progress(self) -> messages.Progress:
        stage = ", ".join(part for part in ("rendering", self.resources.backend.notice) if part)
        throughput = self._throughput
        return messages.Progress(
            self.request.job, throughput.done, throughput.total, throughput.rate, throughput.eta, stage
        )
