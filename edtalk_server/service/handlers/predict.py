"""`Predict`: a performance from a voice, words, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edtalk_server.arrays import Floats
from edtalk_server.media.steps import Step
from shared_protocol import messages
from shared_protocol.codec import Buffer
from shared_protocol.messages import Blob
from shared_protocol.visemes import VISEMES

from .. import limits
from ..backend import WorkCancelled, write_weights
from .handler import Answer, Handler, Resources, WorkerKind, handles
from .throughput import Throughput

if TYPE_CHECKING:
    from edtalk_server.motion import Predicted
    from edtalk_server.motion.visemes import Viseme


@handles(messages.Predict)
class PredictHandler(Handler[messages.Predict]):
    """Predict the weights of all frames in one step, which ends early when the job is cancelled."""

    worker = WorkerKind.VOICES
    capabilities = ("predict", messages.SEMANTICS, messages.PREDICT_PROGRESS, messages.VISEMES)

    def __init__(self, request: messages.Predict, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        limits.check_timing(request)
        limits.check_idle_motion(request)
        limits.check_semantics(request)
        self._source = resources.sources.get(request.source)
        self._voice = resources.blobs.get(request.voice) if request.voice else b""
        self._reached: Step | None = None
        """What the worker has told last; it is replaced whole, so any thread may read it."""
        self._told: Step | None = None
        self._throughput = Throughput(0, now)

    @property
    def files(self) -> Mapping[str, Buffer]:
        """The voice."""
        return {self.request.voice: self._voice}

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], Predicted]:
        """Return the whole work."""

        def checkpoint(done: int = 0, total: int = 0, stage: str = "") -> None:
            if not is_wanted():
                raise WorkCancelled
            if stage:
                self._reached = Step(done, total, stage)

        predict = self.resources.backend.predict
        return lambda: predict(self._source, bytes(self._voice), self.request, checkpoint)

    def news(self, now: float) -> tuple[messages.Message, ...]:
        """Tell how far the prediction is, where the client asks for it."""
        reached, told = self._reached, self._told
        if not self.request.progress or reached is None or reached == told:
            return ()
        if told is None or reached.stage != told.stage:
            self._throughput = Throughput(reached.total, now)
        self._told = reached
        self._throughput.reach(reached, now)
        rate, eta = self._throughput.rate, self._throughput.eta if reached.total else -1.0
        return (messages.Progress(self.request.job, *reached[:2], rate, eta, reached.stage),)

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
            Blob(write_weights(_numbered(value.visemes))),
        )
        return Answer((performance,))


def _numbered(shown: Sequence[Viseme]) -> Floats:
    """Return visemes as rows [n, 3] of number, start and end."""
    rows = [[VISEMES.index(one.name), one.start, one.end] for one in shown]
    return np.array(rows, np.float32).reshape(-1, 3)


def listed(value: Predicted) -> Predicted:
    """Return a prediction with as many words and sentences as fit into a header; a note says when it is not all."""
    fitting = tuple(one for one in value.sentences if one.first + one.words <= limits.MAX_WORDS)
    sentences = fitting[: limits.MAX_SENTENCES]
    if len(value.words) <= limits.MAX_WORDS and len(sentences) == len(value.sentences):
        return value
    note = f"Only the first {len(sentences)} of {len(value.sentences)} sentences are listed."
    words, times = value.words[: limits.MAX_WORDS], value.word_times[: limits.MAX_WORDS]
    return replace(value, words=words, word_times=times, sentences=sentences, notes=(*value.notes, note))
