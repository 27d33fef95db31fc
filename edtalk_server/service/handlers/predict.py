"""`Predict`: a performance from a voice."""

from __future__ import annotations

from collections.abc import Callable

from edtalk_server.arrays import Weights
from shared_protocol import messages
from shared_protocol.messages import Blob

from .. import limits
from ..backend import WorkCancelled, write_weights
from .handler import Answer, Handler, Resources, Turn, handles


@handles(messages.Predict)
class PredictHandler(Handler[messages.Predict]):
    """Predict the weights of all frames in one step, which ends early when the job is cancelled."""

    turn = Turn.VOICE
    capabilities = ("predict",)

    def __init__(self, request: messages.Predict, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        limits.check_timing(request)
        limits.check_idle_motion(request)
        self._source = resources.sources.get(request.source)
        self._voice = resources.blobs.get(request.voice)

    @property
    def bytes_held(self) -> int:
        """The voice."""
        return len(self._voice)

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], Weights]:
        """Return the whole work."""

        def checkpoint() -> None:
            if not is_wanted():
                raise WorkCancelled

        predict = self.resources.backend.predict
        return lambda: predict(self._source, bytes(self._voice), self.request, checkpoint)

    def answer(self, value: Weights, seconds: float, now: float) -> Answer:
        """Answer with a `Performance`."""
        frames, channels = value.shape
        blob = Blob(write_weights(value))
        return Answer((messages.Performance(self.request.job, frames, channels, blob),))
