"""`Capture`: a performance from a driving video."""

from __future__ import annotations

from collections.abc import Mapping

from edtalk_server.media.steps import Steps
from shared_protocol import messages
from shared_protocol.codec import Buffer
from shared_protocol.messages import Blob, Message

from .. import limits
from ..backend import write_weights
from .handler import Resources, handles
from .streaming import StreamingHandler


@handles(messages.Capture)
class CaptureHandler(StreamingHandler[messages.Capture]):
    """Capture a video in steps, taking turns with renders."""

    capabilities = ("capture", messages.CAPTURE_FOLLOW)

    def __init__(self, request: messages.Capture, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        limits.check_timing(request)
        limits.check_capture(request)
        self._source = resources.sources.get(request.source)
        self._video = resources.blobs.get(request.video)

    @property
    def files(self) -> Mapping[str, Buffer]:
        """The video."""
        return {self.request.video: self._video}

    def steps(self) -> Steps[Message | None]:
        """Estimate the weights of the video's pictures; the result is a `Performance`."""
        weights, notes = yield from self.resources.backend.capture(self._source, self._video, self.request)
        frames, channels = weights.shape
        blob = Blob(write_weights(weights))
        return messages.Performance(self.request.job, frames, channels, blob, notes)
