"""`Inspect` and `Prepare`: assess a portrait, encode it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edtalk_server.media.steps import Steps
from shared_protocol import messages
from shared_protocol.codec import Buffer
from shared_protocol.messages import Blob, Crop, Message

from .. import limits
from ..backend import Source, write_weights
from ..sources import Wish
from .handler import Resources, Turn, handles
from .streaming import StepResult, StreamingHandler


@handles(messages.Inspect)
class InspectHandler(StreamingHandler[messages.Inspect]):
    """Assess a portrait without encoding it."""

    tells_progress = False

    turn = Turn.PORTRAIT
    capabilities = ("inspect",)

    def __init__(self, request: messages.Inspect, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        self._portrait = resources.blobs.get(request.portrait)

    @property
    def files(self) -> Mapping[str, Buffer]:
        """The portrait."""
        return {self.request.portrait: self._portrait}

    def steps(self) -> Steps[Message | None]:
        """Look at the picture; the result is `Inspected`."""
        crop = _chosen(self.request.crop)
        value = yield from self.resources.backend.inspect(bytes(self._portrait), crop)
        quality = value.quality
        return messages.Inspected(
            self.request.job,
            value.width,
            value.height,
            quality.verdict.value,
            quality.advice,
            quality.crop,
            value.faces,
            quality.turned,
        )


@handles(messages.Prepare)
class PrepareHandler(StreamingHandler[messages.Prepare]):
    """Encode a portrait; the source outlives the job. One that is still there is not judged and encoded again."""

    turn = Turn.PORTRAIT
    tells_progress = False
    capabilities = ("prepare", messages.PREPARE_ALSO)

    def __init__(self, request: messages.Prepare, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        limits.check_also(request)
        self._portrait = resources.blobs.get(request.portrait)
        self._also = {digest: resources.blobs.get(digest) for digest in request.also}
        self._known: Source | None = None
        self._encoded: Source | None = None

    @property
    def files(self) -> Mapping[str, Buffer]:
        """The portrait and the further pictures."""
        return {self.request.portrait: self._portrait, **self._also}

    @property
    def _wish(self) -> Wish:
        return self.request.portrait, self.request.crop, self.request.also

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], StepResult]:
        """Return the work of one turn; there is none where another request has prepared the same meanwhile."""
        self._known = self.resources.sources.find(self._wish)
        return super().next_step(is_wanted)

    def steps(self) -> Steps[Message | None]:
        """Encode the portrait; the result is `Prepared`."""
        self._encoded = self._known or (yield from self._encoding())
        return self._prepared(self._encoded)

    def _encoding(self) -> Steps[Source]:
        crop, also = _chosen(self.request.crop), [bytes(self._also[name]) for name in self.request.also]
        return (
            yield from self.resources.backend.prepare(bytes(self._portrait), crop, *([also] if also else []))
        )

    def store(self, value: StepResult) -> None:
        """Keep the source for later requests."""
        if value.has_ended and self._encoded is not None:
            self.resources.sources.put(self._encoded, self._wish)

    def _prepared(self, value: Source) -> messages.Prepared:
        size, (full_width, full_height) = value.size, value.full_size
        return messages.Prepared(
            self.request.job,
            value.key,
            value.crop,
            size,
            size,
            tuple(value.notes),
            Blob(write_weights(value.weights)),
            full_width,
            full_height,
            value.verdict,
            tuple(value.sizes),
            tuple(value.landmarks),
            tuple(" ".join(parts) for parts in value.gives),
            value.is_cut_out,
        )


def _chosen(crop: Crop) -> Crop | None:
    """Return the crop that somebody chose; None to find the face."""
    return crop if crop.side > 0 else None
