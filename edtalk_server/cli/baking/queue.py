"""All shots in one queue: while the frames of one are drawn, the next one is predicted."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction

from edtalk_server import api
from edtalk_server.arrays import Weights
from edtalk_server.engine import Engine, Source
from edtalk_server.media.output_spec import FACE, FULL, OutputSpec
from edtalk_server.media.steps import Step, run_to_end
from edtalk_server.media.video.assemble import MovieSpec, assemble
from edtalk_server.media.video.sequence import is_deep, make_folder
from edtalk_server.workers import DrawTask, EncodedImage, Pool
from shared_protocol import weights_file
from shared_protocol.errors import EDTalkError
from shared_protocol.timebase import MODEL_FPS

from .jobs import Shot
from .record import Record

_BATCH = 4
"""Frames of a task."""
_WAITING_TASKS = 2
"""Tasks that are handed out ahead, for each worker."""


@dataclass
class Outcome:
    """What became of a shot: its frames, those of them that were drawn now, seconds, notes, and the error, if any."""

    shot: Shot
    frames: int = 0
    drawn: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: EDTalkError | None = None


@dataclass(frozen=True, eq=False)
class _Ready:
    """A predicted shot, and what is to be drawn of it."""

    outcome: Outcome
    source: Source
    weights: Weights
    fps: Fraction
    output: OutputSpec
    record: Record

    @property
    def encoding(self) -> str:
        """How its frames are encoded."""
        return "exr" if self.output.deep else "png"

    def inputs(self, frame: int) -> str:
        """Return the digest of all that a frame is drawn from."""
        content = hashlib.sha256(f"{self.source.key} {self.output} {self.encoding} ".encode())
        content.update(self.weights[frame - 1].tobytes())
        return content.hexdigest()


@dataclass(frozen=True, eq=False)
class _Batch:
    """Frames of a shot that are being drawn; none: the shot ends here."""

    ready: _Ready
    frames: Sequence[int] = ()
    images: Future[list[EncodedImage]] | None = None


class Queue:
    """Bakes shots by a pool. `overwrite`: also over files that this command has not made. `on_step` gets the frames of
    the current shot that are finished."""

    def __init__(
        self,
        engine: Engine,
        pool: Pool,
        overwrite: bool = False,
        on_step: Callable[[Shot, Step], None] = lambda shot, step: None,
    ) -> None:
        self._engine, self._pool, self._overwrite, self._on_step = engine, pool, overwrite, on_step
        self._waiting = deque[_Batch]()

    def bake(self, shots: Sequence[Shot]) -> list[Outcome]:
        """Bake all shots, in their order; one that fails does not hold up the others."""
        outcomes = [Outcome(shot) for shot in shots]
        with ThreadPoolExecutor(len(self._pool)) as drawing, ThreadPoolExecutor(1) as ahead:
            try:
                for ready in self._predicted(outcomes, ahead):
                    self._hand_out(ready, drawing)
                self._write(0)
            except BaseException:
                for batch in self._waiting:
                    if batch.images is not None:
                        batch.images.cancel()
                ahead.shutdown(wait=False, cancel_futures=True)
                raise
        return outcomes

    def _predicted(self, outcomes: Sequence[Outcome], ahead: ThreadPoolExecutor) -> Iterator[_Ready]:
        """Yield the shots that can be drawn; the next one is predicted meanwhile."""
        coming = deque(ahead.submit(self._predict, outcome) for outcome in outcomes[:1])
        for outcome, following in zip(outcomes, [*outcomes[1:], None], strict=True):
            current = coming.popleft()
            if following is not None:
                coming.append(ahead.submit(self._predict, following))
            try:
                yield current.result()
            except EDTalkError as error:
                outcome.error = error

    def _predict(self, outcome: Outcome) -> _Ready:
        start, shot, engine = time.monotonic(), outcome.shot, self._engine
        source = api.prepare(engine, shot.portrait, shot.crop)
        outcome.notes += source.notes
        stored = None if shot.weights is None else weights_file.read(shot.weights)
        rate = shot.fps or (stored.fps if stored is not None else MODEL_FPS)
        if shot.weights is not None:
            felt = {name: shot.options[name] for name in _FELT if name in shot.options}
            predicted = api.load_weights(engine, source, shot.weights, fps=rate, **felt)
        else:
            said = {"voice": shot.voice, "transcript": shot.transcript, "fps": rate}
            predicted = api.perform(engine, source, **_NATURAL | said | dict(shot.options))
        outcome.notes += predicted.notes
        weights = api.mix(engine, source, predicted)
        outcome.frames, outcome.seconds = len(weights), time.monotonic() - start
        return _Ready(outcome, source, weights, Fraction(rate), _output(shot), Record(shot.output))

    def _hand_out(self, ready: _Ready, drawing: ThreadPoolExecutor) -> None:
        """Give the workers what is not finished of a shot."""
        outcome = ready.outcome
        try:
            missing = self._missing(ready)
        except EDTalkError as error:
            outcome.error = error
            return
        for first in range(0, len(missing), _BATCH):
            self._write(_WAITING_TASKS * len(self._pool))
            if outcome.error is not None:
                return
            frames = missing[first : first + _BATCH]
            rows = ready.weights[[frame - 1 for frame in frames]]
            task = DrawTask(ready.source, rows, ready.output, ready.encoding)
            self._waiting.append(_Batch(ready, frames, drawing.submit(self._pool.draw, task)))
        self._waiting.append(_Batch(ready))

    def _missing(self, ready: _Ready) -> list[int]:
        frames = range(1, len(ready.weights) + 1)
        missing = [frame for frame in frames if not ready.record.is_finished(frame, ready.inputs(frame))]
        if not self._overwrite:
            for frame in missing:
                ready.record.check_own(frame)
        return missing

    def _write(self, most: int) -> None:
        """Write finished batches, the oldest first, until at most so many wait."""
        while len(self._waiting) > most:
            batch = self._waiting[0]
            try:
                self._write_batch(batch) if batch.images is not None else self._end(batch.ready)
            except EDTalkError as error:
                batch.ready.outcome.error = batch.ready.outcome.error or error
            self._waiting.popleft()

    def _write_batch(self, batch: _Batch) -> None:
        start, outcome = time.monotonic(), batch.ready.outcome
        images = batch.images.result() if batch.images is not None else []
        for frame, image in zip(batch.frames, images, strict=True):
            batch.ready.record.write(frame, batch.ready.inputs(frame), image.data)
            outcome.drawn += 1
        outcome.seconds += time.monotonic() - start
        self._on_step(outcome.shot, Step(batch.frames[-1], outcome.frames, "baking"))

    def _end(self, ready: _Ready) -> None:
        """Write the movie of a shot, where one is wanted and it is not there or its frames are new."""
        outcome, shot = ready.outcome, ready.outcome.shot
        if shot.movie is None or outcome.error is not None or (shot.movie.exists() and not outcome.drawn):
            return
        make_folder(shot.movie.parent)
        spec = MovieSpec(
            shot.output,
            1,
            outcome.frames,
            ready.fps,
            shot.voice,
            0.0,
            shot.movie,
            is_cut_out=shot.full and not shot.alpha,
        )
        run_to_end(assemble(spec))


def _output(shot: Shot) -> OutputSpec:
    framing, deep = (FULL if shot.full else FACE), is_deep(shot.output)
    return OutputSpec(framing, shot.alpha, deep, size=shot.size, cut_out=shot.full)


_NATURAL = {"blinks": 15.0, "head": 1.0}
"""What `edtalk render` does unless told otherwise."""
_FELT = ("emotion", "emotion_gain")
