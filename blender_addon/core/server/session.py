# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on asks of the server, as steps of long work (see `tasks`). No bpy here.

Each method is a generator: it yields while it waits and returns the result; closing it cancels the job. All of them
raise `EDTalkError` where the server could not do it, and `Stopped` when somebody else cancelled it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import (
    BundleEntry,
    Bundles,
    Cancelled,
    Crop,
    Failed,
    Frame,
    Inspected,
    Performance,
    Prepared,
    PreviewFrame,
)
from shared_protocol.messages import Progress as JobProgress
from shared_protocol.timebase import TimeBase

from ..tasks import Progress, Steps, Stopped
from . import events
from .link import Bundle, Listener, ServerLink, not_running
from .process import ServerState
from .requests import Data

Answer = TypeVar("Answer")
Weights = npt.NDArray[np.float32]
FRAMES_PER_JOB = 2_000
"""So many frames are asked for at once: writing the message takes about a millisecond. (Ten times as many would fit,
however large their numbers are; see `codec.MAX_HEADER_BYTES`.)"""


class Captured(NamedTuple):
    """What a driving video gave: weights [frames, channels], and sentences for people on what to look at."""

    weights: Weights
    notes: tuple[str, ...]


class Session(ServerLink):
    """The connection with all that can be asked of it."""

    def restarted(self, progress: Progress) -> Steps[Bundle]:
        """End the server, whoever started it, and start it anew, as it is wanted now. When this Blender wants one of
        its own now, what others started or use is only let go.

        Raises `EDTalkError` when others use it (it then goes on), or when none could be started.
        """
        if self.server.wants_own():
            self.stop_server()
        else:
            self.end_server()
        while self.server.state is ServerState.STOPPING:
            progress.stage = self.status.line  # which is in the user's language already
            yield
        if self.server.state is not ServerState.STOPPED:
            raise self.server.error or not_running()
        return (yield from self.ready(progress))

    def ready(self, progress: Progress) -> Steps[Bundle]:
        """Wait until the server takes requests; start it when it does not run."""
        self.start_server()
        while self.bundle is None or not self.is_ready:
            if not self.is_connected:
                raise self.server.error or not_running()
            progress.stage = self.status.line  # which is in the user's language already
            yield
        return self.bundle

    # --- waiting -------------------------------------------------------------------------------------------

    def answers(
        self,
        job: str,
        progress: Progress,
        hear: Listener,
        told: Callable[[JobProgress], None] | None = None,
    ) -> Steps[None]:
        """Wait until a job has ended; `hear` gets its results as they come. Closing cancels the job.

        `told` gets how far it is (default: it is written into `progress`).
        Raises `EDTalkError` when it failed, `Stopped` when somebody else cancelled it.
        """
        news: list[events.JobEvent] = []
        self._listeners[job] = news.append
        told = told or (lambda event: _show(event, progress))
        try:
            while True:
                for event in news:
                    match event:
                        case JobProgress():
                            told(event)
                        case Cancelled():
                            raise Stopped
                        case Failed():
                            events.raise_if_failed(event)
                        case _ if isinstance(event, events.TERMINAL):
                            return
                        case _:
                            hear(event)
                news.clear()
                yield
        finally:
            self._listeners.pop(job, None)
            if self.client is not None:
                self.client.cancel(job)

    def _one_answer(
        self,
        job: str,
        kind: type[Answer],
        progress: Progress,
        told: Callable[[JobProgress], None] | None = None,
    ) -> Steps[Answer]:
        """Wait for a job that has one result."""
        results: list[Any] = []
        yield from self.answers(job, progress, results.append, told)
        for result in results:
            if isinstance(result, kind):
                return result
        raise EDTalkError(
            ErrorCode.INTERNAL, f"The server ended {job} without a result.", "Look at the server's log."
        )

    # --- portraits and pictures ----------------------------------------------------------------------------

    def inspect(self, portrait: Data, crop: Crop | None, progress: Progress) -> Steps[Inspected]:
        """Let the server look at a portrait (an image file's bytes): faces, the crop to use, and a verdict."""
        _begin(progress, "Looking at the portrait")
        job = self._client("inspect").inspect(portrait, crop)
        return (yield from self._one_answer(job, Inspected, progress))

    def prepare(self, portrait: Data, progress: Progress, *, crop: Crop | None = None) -> Steps[Prepared]:
        """Let the server encode a portrait (it keeps it for later). Without `crop` the face is found."""
        _begin(progress, "Looking at the portrait")
        prepared = yield from self._one_answer(self._client().prepare(portrait, crop), Prepared, progress)
        self._sources.add(prepared.source)
        return prepared

    def picture(
        self, source: str, weights: Weights, progress: Progress, *, framing: str = "face"
    ) -> Steps[PreviewFrame]:
        """One picture of weights [channels]."""
        _begin(progress, "Making the first picture")
        job = self._client().preview(source, weights, "task", framing)
        return (yield from self._one_answer(job, PreviewFrame, progress))

    def render(
        self,
        source: str,
        frames: Sequence[int],
        weights: Weights,
        keep: Callable[[Frame], None],
        progress: Progress,
        *,
        encoding: str = "png",
        framing: str = "face",
        alpha: bool = False,
    ) -> Steps[None]:
        """Frames as files, in order, each handed to `keep`. weights [frames, channels]. See `messages.Render`."""
        _begin(progress, "Rendering", len(frames))

        def hear(event: events.JobEvent) -> None:
            if isinstance(event, Frame):
                keep(event)

        for start in range(0, len(frames), FRAMES_PER_JOB):
            part = slice(start, start + FRAMES_PER_JOB)
            job = self._client().render(
                source, frames[part], weights[part], encoding=encoding, framing=framing, alpha=alpha
            )
            yield from self.answers(job, progress, hear, _in_parts(progress, start))

    # --- performances --------------------------------------------------------------------------------------

    def predict(
        self,
        source: str,
        voice: Data,
        timing: TimeBase,
        frames: range,
        progress: Progress,
        *,
        transcript: str = "",
        blinks: float = 0.0,
        head: float = 0.0,
        seed: int = 0,
    ) -> Steps[Weights]:
        """Weights [frames, channels] for a voice whose seconds belong to frames as `timing` says, with `blinks` a
        minute and movements of the `head`. See `messages.Predict`."""
        _begin(progress, "Predicting")
        job = self._client().predict(
            source,
            voice,
            **_timing(timing, frames),
            transcript=transcript,
            seed=seed,
            blinks=blinks,
            head=head,
            clock=float(frames[0] / timing.fps) - timing.seconds(frames[0]),
        )
        return _rows(len(frames), (yield from self._one_answer(job, Performance, progress)))

    def capture(
        self, source: str, video: Data, timing: TimeBase, frames: range, progress: Progress
    ) -> Steps[Captured]:
        """Weights for a driving video (a file) whose seconds belong to frames as `timing` says."""
        _begin(progress, "Sending the video")
        job = self._client("capture").capture(source, video, **_timing(timing, frames))
        performance = yield from self._one_answer(job, Performance, progress)
        return Captured(_rows(len(frames), performance), performance.notes)

    # --- files and bundles ---------------------------------------------------------------------------------

    def movie(
        self,
        folder: Path,
        frames: range,
        timing: TimeBase,
        output: Path,
        progress: Progress,
        *,
        pattern: str = "%04d.png",
        sound: Path | None = None,
        sound_offset: float = 0.0,
    ) -> Steps[None]:
        """A numbered image sequence on this machine to a movie with sound. See `messages.Movie`."""
        _begin(progress, "Writing the movie", len(frames))
        job = self._client("movie").movie(
            folder,
            frames,
            output,
            pattern=pattern,
            fps=(timing.fps.numerator, timing.fps.denominator),
            sound=sound,
            sound_offset=sound_offset,
        )
        yield from self.answers(job, progress, _ignored)

    def bundles(self, progress: Progress) -> Steps[tuple[BundleEntry, ...]]:
        """The bundles that are installed, and those that can be fetched."""
        _begin(progress, "Looking for model bundles")
        return (yield from self._bundles(self._client("bundles").list_bundles(), progress))

    def import_bundle(self, folder: Path, name: str, progress: Progress) -> Steps[tuple[BundleEntry, ...]]:
        """The official checkpoints in a folder (or one file) become the bundle `name`; the answer is the new list."""
        _begin(progress, "Reading the checkpoints")
        return (yield from self._bundles(self._client("bundles").import_bundle(folder, name), progress))

    def download_bundle(
        self, name: str, progress: Progress, *, mirror: str = ""
    ) -> Steps[tuple[BundleEntry, ...]]:
        """Fetch a bundle of the server's catalogue; the answer is the new list. Only at the user's explicit wish."""
        _begin(progress, "Downloading")
        job = self._client("bundles").download_bundle(name, mirror)
        return (yield from self._bundles(job, progress, _in_megabytes(progress)))

    def _bundles(
        self, job: str, progress: Progress, told: Callable[[JobProgress], None] | None = None
    ) -> Steps[tuple[BundleEntry, ...]]:
        return (yield from self._one_answer(job, Bundles, progress, told)).bundles


def _begin(progress: Progress, stage: str, total: int = 0) -> None:
    progress.stage, progress.done, progress.total, progress.eta = stage, 0, total, -1.0
    progress.rate = 0.0


def _show(event: JobProgress, progress: Progress) -> None:
    progress.done, progress.total, progress.eta = event.done, event.total, event.eta
    progress.rate = event.rate
    if event.stage:
        progress.stage = event.stage[0].upper() + event.stage[1:]


def _in_parts(progress: Progress, before: int) -> Callable[[JobProgress], None]:
    """How far a range is of which `before` frames were done by earlier jobs, and further ones may follow."""
    total = progress.total

    def told(event: JobProgress) -> None:
        _show(event, progress)
        progress.done, progress.total = before + event.done, total
        progress.eta = (total - progress.done) / event.rate if event.rate > 0 else -1.0

    return told


def _in_megabytes(progress: Progress) -> Callable[[JobProgress], None]:
    """How far a download is, whose units are bytes."""

    def told(event: JobProgress) -> None:
        _show(event, progress)
        progress.done, progress.total = event.done // 10**6, max(1, event.total // 10**6)
        progress.stage += ", MB"

    return told


def _timing(timing: TimeBase, frames: range) -> dict[str, Any]:
    """The first frame's second and the frame rate, as requests have them."""
    return {
        "fps": (timing.fps.numerator, timing.fps.denominator),
        "frames": len(frames),
        "offset": timing.seconds(frames[0]),
    }


def _rows(wanted: int, performance: Performance) -> Weights:
    weights = events.weights_of(performance)
    if weights.shape[0] != wanted:
        raise EDTalkError(
            ErrorCode.INTERNAL,
            f"The server gave {weights.shape[0]} frames instead of {wanted}.",
            "Install the server and the add-on in the same version.",
        )
    return weights


def _ignored(_event: events.JobEvent) -> None:
    """This job has no result but its end."""
