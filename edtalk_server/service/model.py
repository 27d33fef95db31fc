"""The backends: the engine with its bundle, and the fake engine that stands in for a model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from edtalk_server import allocator
from edtalk_server.arrays import Picture, Rendered, Weights
from edtalk_server.child_process import memory_of_started
from edtalk_server.media.audio.voice import SAMPLE_RATE, load_voice
from edtalk_server.media.faces.detection import LOOKING, Face, finding_faces
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.faces.portrait_quality import Inspection, rough_crops
from edtalk_server.media.output_spec import OutputSpec
from edtalk_server.media.pictures.load import load_picture
from edtalk_server.media.steps import Checkpoint, Step, Steps
from edtalk_server.media.video.reader import Clip
from shared_protocol.banks import Bank, BankLayout
from shared_protocol.codec import Buffer
from shared_protocol.messages import Capture, Crop, Predict, SpokenLine
from shared_protocol.timebase import TimeBase
from shared_protocol.transcripts import Line, Transcript

from .backend import Finished, Source

if TYPE_CHECKING:
    from edtalk_server.motion import Captured, CaptureSettings, Predicted, PredictOptions

log = logging.getLogger(__name__)

_PARTS = ("audio_to_lip", "audio_to_pose", "semantics", "sync")
"""Networks beside the face's that a bundle may have: clients are told which."""
_LONG_RENDER = 12
"""Frames from which on a render is worth the start of helpers."""
_READING = Step(0, 0, "reading the picture")
_MOST_KEPT = 64 * 1024 * 1024
"""Bytes of a decoded picture that stays in memory after it was looked at."""


class EngineBackend:
    """A bundle on a device. At first only its manifest is read; `open` loads and warms up the networks.

    Raises `EDTalkError`: BUNDLE_INVALID, UNSUPPORTED (no such device).
    """

    largest_batch = 16

    def __init__(self, bundle: str, device: str = "auto", helpers: int = 0, compiles: bool = False) -> None:
        """`helpers`: processes that draw beside this one on the CPU (`Engine.start_helpers`). `compiles`: its
        network is compiled where that helps (`Engine.start_compiling`)."""
        from edtalk_server.bundles.load import read_manifest

        manifest, digest = read_manifest(bundle)
        self._bundle, self._device, self._helpers = bundle, device, helpers
        self._compiles = compiles
        parts = [name for name in _PARTS if getattr(manifest, name, None) is not None]
        self.description = json.dumps(json.loads(manifest.public_json()) | {"digest": digest, "parts": parts})
        self.channels, self.size = len(manifest.layout), manifest.size
        self.device = device
        self._engine: Any = None

    def open(self) -> None:
        """Load the networks and render one frame, so that the first requested frame is as fast as all others."""
        import torch

        from edtalk_server.engine import Engine

        start = time.monotonic()
        if threads := os.environ.get("OMP_NUM_THREADS", ""):
            torch.set_num_threads(max(1, int(threads)))
        self._engine = Engine.open(self._bundle, self._device)
        self.device = self._engine.device_name
        self._engine.warm_up()
        if self._compiles:
            self._engine.start_compiling()
        log.info("loaded the model on %s in %.1f s", self.device, time.monotonic() - start)

    def inspect(self, portrait: bytes, crop: Crop | None) -> Steps[Inspection]:
        """See `backend.Backend`."""
        return _inspection(self._engine, portrait, crop)

    def prepare(self, portrait: bytes, crop: Crop | None, also: Sequence[bytes] = ()) -> Steps[Source]:
        """See `backend.Backend`."""
        pictures = []
        for file in (portrait, *also):
            yield _READING
            pictures.append(load_picture(file))
        source: Source = yield from self._engine.preparing(pictures[0], crop, pictures[1:])
        return source

    def predict(self, source: Source, voice: bytes, request: Predict, checkpoint: Checkpoint) -> Predicted:
        """See `backend.Backend`. What a long voice took is given back."""
        from edtalk_server import motion

        try:
            return motion.perform(
                self._engine.bundle,
                source.weights,
                load_voice(voice, checkpoint) if request.voice else None,
                time_base(request),
                request.frames,
                predict_options(request),
                checkpoint,
            )
        finally:
            allocator.give_back()

    def capture(self, source: Source, video: Buffer, request: Capture) -> Steps[Captured]:
        """See `backend.Backend`."""
        from edtalk_server import motion

        engine, layout = self._engine, self._engine.bundle.layout
        times, clip = time_base(request), Clip.open(video)
        return (
            yield from motion.capture(
                engine, layout, source.weights, clip, times, request.frames, _settings(request)
            )
        )

    @property
    def notice(self) -> str:
        """See `backend.Backend`."""
        return str(self._engine.notice) if self._engine else ""

    def release(self) -> None:
        """See `backend.Backend`."""
        from edtalk_server.motion import recognizer

        self._engine.release()
        recognizer.end()

    def device_memory(self) -> tuple[int, int]:
        """See `backend.Backend`."""
        memory: tuple[int, int] = self._engine.device_memory() if self._engine else (0, 0)
        return memory

    @property
    def path(self) -> str:
        """See `backend.Backend`."""
        return str(self._engine.path) if self._engine else ""

    @property
    def previews_apart(self) -> bool:
        """See `backend.Backend`."""
        return self._engine is not None and bool(self._engine.previews_apart)

    @property
    def side_by_side(self) -> int:
        """See `backend.Backend`."""
        return self._engine.side_by_side if self._engine else 1

    def helpers_memory(self) -> int:
        """See `backend.Backend`."""
        return memory_of_started()

    def expect(self, frames: int) -> None:
        """Start the helpers at the first long render: each takes a core, and memory of its own."""
        if frames >= _LONG_RENDER and self._helpers and not self._engine.has_helpers:
            self._engine.start_helpers(self._helpers)

    def render(
        self,
        source: Source,
        weights: Weights,
        output: OutputSpec,
        finish: Callable[[Rendered], Finished],
        path: str = "",
    ) -> list[Finished]:
        """See `backend.Backend`."""
        finished: list[Finished] = self._engine.render_each(source, weights, output, finish, path)
        return finished

    def preview(
        self, source: Source, weights: Weights, output: OutputSpec, finish: Callable[[Rendered], Finished]
    ) -> Finished:
        """See `backend.Backend`."""
        return finish(self._engine.preview(source, weights, output))


@dataclass(frozen=True)
class _BundleWithoutNetworks:
    layout: BankLayout
    audio_to_lip: None = None
    semantics: None = None
    audio_to_pose: None = None
    pose_map: None = None


class FakeBackend:
    """Bars instead of faces: everything but the networks. The mouth follows the loudness of the voice.

    `layout`: the names of the weights (default: numbered).
    """

    largest_batch = 4
    side_by_side = 1
    previews_apart = False
    path = ""
    notice = ""

    def __init__(self, layout: BankLayout | None = None) -> None:
        from edtalk_server.bundles import BundleManifest, NetworkPart
        from edtalk_server.engine.fake import FakeEngine

        self._engine = FakeEngine(layout=layout)
        self._bundle = _BundleWithoutNetworks(self._engine.layout)
        self.channels, self.size, self.device = self._engine.channels, self._engine.size, "none"
        self.description = BundleManifest(
            name="fake",
            title="No model",
            version="1",
            licence="CC0-1.0",
            size=self.size,
            face=NetworkPart("fake", {}, ""),
            layout=self._engine.layout,
        ).public_json()

    def open(self) -> None:
        """Do nothing: there are no networks to load."""

    def inspect(self, portrait: bytes, crop: Crop | None) -> Steps[Inspection]:
        """See `backend.Backend`. Faces are detected, but every crop counts as good."""
        return _inspection(self._engine, portrait, crop)

    def prepare(self, portrait: bytes, crop: Crop | None, also: Sequence[bytes] = ()) -> Steps[Source]:
        """See `backend.Backend`. Further pictures give nothing, but change the source's key."""
        yield _READING
        return self._engine.prepare(load_picture(portrait), crop, [load_picture(data) for data in also])

    def predict(self, source: Source, voice: bytes, request: Predict, checkpoint: Checkpoint) -> Predicted:
        """Set all mouth weights to the loudness (root mean square) around their frame. Words and emotions are as with a
        model that has no networks for them."""
        from edtalk_server import motion

        waveform, times = load_voice(voice, checkpoint) if request.voice else None, time_base(request)
        without_mouth = replace(predict_options(request), banks=frozenset(), idle=motion.IdleMotion())
        predicted = motion.perform(
            self._bundle, source.weights, waveform, times, request.frames, without_mouth, checkpoint
        )
        weights = predicted.weights
        if waveform is None or Bank.MOUTH not in request.banks:
            return predicted
        window = SAMPLE_RATE // 25
        for row in range(len(weights)):
            checkpoint()
            start = max(0, round(times.seconds(row) * SAMPLE_RATE))
            samples = waveform.samples[start : start + window]
            loudness = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
            weights[row, self._engine.layout.slice_of(Bank.MOUTH)] = loudness
        return predicted

    def capture(self, source: Source, video: Buffer, request: Capture) -> Steps[Captured]:
        """Set all mouth weights to the brightness of the picture at their frame, 0 to 1, times the mouth's strength."""
        from edtalk_server.motion import Captured

        times, clip = time_base(request), Clip.open(video)
        count = request.frames or times.frame_count(Fraction(clip.duration) - times.offset)
        weights = np.repeat(np.reshape(source.weights, (1, -1)), count, axis=0)
        brightness: list[float] = []
        for picture in clip.pictures(side=64):
            yield Step(min(len(brightness), count), count, "reading the face")
            brightness.append(float(picture.mean()) / 255)
        positions = np.array([times.seconds(row) for row in range(count)]) * float(clip.fps)
        mouth = self._engine.layout.slice_of(Bank.MOUTH)
        weights[:, mouth] = (
            request.mouth * np.interp(positions, np.arange(len(brightness)), brightness)[:, None]
        )
        return Captured(weights, ())

    def release(self) -> None:
        """Do nothing: there is no accelerator."""

    def device_memory(self) -> tuple[int, int]:
        """Return 0 and 0: there is no accelerator."""
        return 0, 0

    def helpers_memory(self) -> int:
        """Return 0: there are no helpers."""
        return 0

    def expect(self, frames: int) -> None:
        """Do nothing: bars are quick."""

    def render(
        self,
        source: Any,
        weights: Weights,
        output: OutputSpec,
        finish: Callable[[Rendered], Finished],
        path: str = "",
    ) -> list[Finished]:
        """See `backend.Backend`."""
        return [finish(frame) for frame in self._engine.render(source, weights, output)]

    def preview(
        self, source: Any, weights: Weights, output: OutputSpec, finish: Callable[[Rendered], Finished]
    ) -> Finished:
        """See `backend.Backend`."""
        return self.render(source, weights, output, finish)[0]


def predict_options(request: Predict) -> PredictOptions:
    """Return what a request asks for."""
    from edtalk_server import motion

    emotion, lines = request.emotion, tuple(map(_line, request.lines))
    return motion.PredictOptions(
        motion.IdleMotion(request.blinks, request.head, request.seed, request.clock),
        Transcript(lines or ((Line(request.transcript),) if request.transcript else ())),
        request.language,
        frozenset(map(Bank, request.banks)),
        motion.ChosenEmotion(emotion.name, emotion.intensity) if emotion.name else None,
        request.emotion_gain,
        request.pose,
        request.temperature,
        request.visemes,
    )


def _line(line: SpokenLine) -> Line:
    is_timed = 0 <= line.start <= line.end
    return Line(line.text, (line.start, line.end) if is_timed else None)


def _settings(request: Capture) -> CaptureSettings:
    from edtalk_server.motion import CaptureSettings

    zero = request.zero_second if request.zero == "second" else request.zero
    strength = {bank: getattr(request, bank.value) for bank in Bank}
    return CaptureSettings(zero, request.absolute, strength, request.follow)


def _inspection(engine: Any, portrait: bytes, crop: Crop | None) -> Steps[Inspection]:
    picture, faces = yield from _detected.get(portrait)
    yield LOOKING
    quality = engine.assess(picture, crop, faces)
    return Inspection(picture.shape[1], picture.shape[0], rough_crops(picture, faces), quality)


class _Detected:
    """The last picture that was looked at and its faces: moving a crop asks about the same one many times. A very large
    one is not kept."""

    def __init__(self) -> None:
        self._digest = b""
        self._known: tuple[Picture, tuple[Face, ...]] | None = None

    def get(self, portrait: bytes) -> Steps[tuple[Picture, tuple[Face, ...]]]:
        """Return a picture and its faces."""
        digest = hashlib.sha256(portrait).digest()
        if self._known is not None and digest == self._digest:
            return self._known
        yield _READING
        picture = load_portrait(portrait)
        yield LOOKING
        found = picture, tuple((yield from finding_faces(picture)))
        if picture.nbytes <= _MOST_KEPT:
            self._digest, self._known = digest, found
        return found


_detected = _Detected()


def time_base(request: Predict | Capture) -> TimeBase:
    """Return the time base that a request asks for: row 0 is at its offset."""
    rate = Fraction(request.fps_numerator, request.fps_denominator)
    return TimeBase(rate, 0, Fraction(request.offset).limit_denominator(1_000_000))
