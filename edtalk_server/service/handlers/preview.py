"""`Preview`: one frame as fast as possible, while somebody scrubs."""

from __future__ import annotations

from collections.abc import Callable

from edtalk_server.workers import EncodedImage
from shared_protocol import messages
from shared_protocol.messages import Blob

from ..backend import read_weights
from .handler import Answer, Handler, Resources, Turn, WorkerKind, handles
from .images import output_spec_of


@handles(messages.Preview)
class PreviewHandler(Handler[messages.Preview]):
    """Render one frame. Only the newest queued preview of a connection is rendered."""

    turn = Turn.PREVIEW
    worker = WorkerKind.PREVIEWS
    newest_wins = True
    capabilities = ("preview", "full", "size")

    def __init__(self, request: messages.Preview, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        self._source = resources.sources.get(request.source)
        self._output = output_spec_of(request)
        self._weights = read_weights(request.weights, 1, resources.backend.channels)

    @property
    def bytes_held(self) -> int:
        """One row of weights."""
        return self._weights.nbytes

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], EncodedImage]:
        """Return the whole work."""
        drawing, source = self.resources.drawing, self._source
        return lambda: drawing.preview(source, self._weights, self._output)

    def answer(self, value: EncodedImage, seconds: float, now: float) -> Answer:
        """Answer with a `PreviewFrame`."""
        frame = messages.PreviewFrame(self.request.job, value.width, value.height, Blob(value.data))
        return Answer((frame,))
