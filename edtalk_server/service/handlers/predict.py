"""`Predict`: a performance from a voice, words, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from shared_protocol import messages
from shared_protocol.messages import Blob

from .. import limits
from ..backend import WorkCancelled, write_weights
from .handler import Answer, Handler, Resources, WorkerKind, handles

if TYPE_CHECKING:
    from edtalk_server.motion import Predicted


@handles(messages.Predict)
class PredictHandler(Handler[messages.Predict]):
    """Predict the weights of all frames in one step, which ends early when the job is cancelled."""

    worker = WorkerKind.VOICES
    capabilities = ("predict", messages.SEMANTICS)

    def __init__(self, request: messages.Predict, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        limits.check_timing(request)
        limits.check_idle_motion(request)
        limits.check_semantics(request)
        self._source = resources.sources.get(request.source)
        self._voice = resources.blobs.get(request.voice) if request.voice else b""

    @property
    def bytes_held(self) -> int:
        """The voice."""
        return len(self._voice)

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], Predicted]:
        """Return the whole work."""

        def checkpoint() -> None:
            if not is_wanted():
                raise WorkCancelled

        predict = self.resources.backend.predict
        return lambda: predict(self._source, bytes(self._voice), self.request, checkpoint)

    def answer(self, value: Predicted, seconds: float, now: float) -> Answer:
        """Answer with a `Performance`."""
        frames, channels = value.weights.shape
        value = listed(value)
        emotions = np.zeros(0) if value.emotions is None else value.emotions
        performance = messages.Performance(
            self.request.job,
            frames,
            channels,
            Blob(write_weights(value.weights)),
            value.notes,
            Blob(write_weights(emotions)),
            value.words,
            Blob(write_weights(value.word_times)),
            value.sentences,
        )
        return Answer((performance,))


def listed(value: Predicted) -> Predicted:
    """Return a prediction with as many words and sentences as fit into a header; a note says when it is not all."""
    fitting = tuple(one for one in value.sentences if one.first + one.words <= limits.MAX_WORDS)
    sentences = fitting[: limits.MAX_SENTENCES]
    if len(value.words) <= limits.MAX_WORDS and len(sentences) == len(value.sentences):
        return value
    note = f"Only the first {len(sentences)} of {len(value.sentences)} sentences are listed."
    words, times = value.words[: limits.MAX_WORDS], value.word_times[: limits.MAX_WORDS]
    return replace(value, words=words, word_times=times, sentences=sentences, notes=(*value.notes, note))
