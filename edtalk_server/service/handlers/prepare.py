"""`Inspect` and `Prepare`: assess a portrait, encode it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edtalk_server.media.faces.portrait_quality import Inspection
from shared_protocol import messages
from shared_protocol.codec import Buffer
from shared_protocol.messages import Blob, Crop

from .. import limits
from ..backend import Source, write_weights
from ..sources import Wish
from .handler import Answer, Handler, Resources, Turn, handles


@handles(messages.Inspect)
class InspectHandler(Handler[messages.Inspect]):
    """Assess a portrait without encoding it."""

    turn = Turn.PORTRAIT
    capabilities = ("inspect",)

    def __init__(self, request: messages.Inspect, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        self._portrait = resources.blobs.get(request.portrait)

    @property
    def files(self) -> Mapping[str, Buffer]:
        """The portrait."""
        return {self.request.portrait: self._portrait}

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], Inspection]:
        """Return the whole work."""
        crop = _chosen(self.request.crop)
        return lambda: self.resources.backend.inspect(bytes(self._portrait), crop)

    def answer(self, value: Inspection, seconds: float, now: float) -> Answer:
        """Answer with `Inspected`."""
        quality = value.quality
        inspected = messages.Inspected(
            self.request.job,
            value.width,
            value.height,
            quality.verdict.value,
            quality.advice,
            quality.crop,
            value.faces,
            quality.turned,
        )
        return Answer((inspected,))


@handles(messages.Prepare)
class PrepareHandler(Handler[messages.Prepare]):
    """Encode a portrait; the source outlives the job. One that is still there is not judged and encoded again."""

    turn = Turn.PORTRAIT
    capabilities = ("prepare", messages.PREPARE_ALSO)

    def __init__(self, request: messages.Prepare, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        limits.check_also(request)
        self._portrait = resources.blobs.get(request.portrait)
        self._also = {digest: resources.blobs.get(digest) for digest in request.also}

    @property
    def files(self) -> Mapping[str, Buffer]:
        """The portrait and the further pictures."""
        return {self.request.portrait: self._portrait, **self._also}

    @property
    def _wish(self) -> Wish:
        return self.request.portrait, self.request.crop, self.request.also

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], Source]:
        """Return the whole work."""
        known, crop = self.resources.sources.find(self._wish), _chosen(self.request.crop)
        if known is not None:
            return lambda: known
        also = [bytes(self._also[digest]) for digest in self.request.also]
        return lambda: self.resources.backend.prepare(bytes(self._portrait), crop, *([also] if also else []))

    def store(self, value: Source) -> None:
        """Keep the source for later requests."""
        self.resources.sources.put(value, self._wish)

    def answer(self, value: Source, seconds: float, now: float) -> Answer:
        """Answer with `Prepared`."""
        size, (full_width, full_height) = value.size, value.full_size
        prepared = messages.Prepared(
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
        return Answer((prepared,))


def _chosen(crop: Crop) -> Crop | None:
    """Return the crop that somebody chose; None to find the face."""
    return crop if crop.side > 0 else None
