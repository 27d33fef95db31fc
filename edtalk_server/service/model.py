"""The backends: the engine with its bundle, and the fake engine for trying the way without a model."""

from __future__ import annotations

import json
import logging
import os
import time
from fractions import Fraction
from typing import Any

import numpy as np

from edtalk_server.media.audio import SAMPLE_RATE, load_voice
from edtalk_server.media.portrait import load_portrait
from shared_protocol.banks import Bank
from shared_protocol.messages import Crop, Predict
from shared_protocol.timebase import TimeBase

from .backend import Checkpoint, Frames, Source, Weights

log = logging.getLogger(__name__)


class EngineBackend:
    """A bundle on a device. Only its manifest is read at first; `open` loads and warms the networks.

    Raises `EDTalkError`: BUNDLE_INVALID, UNSUPPORTED (no such device).
    """

    largest_batch = 16

    def __init__(self, bundle: str, device: str = "auto") -> None:
        from edtalk_server.bundles.load import read_manifest

        manifest, digest = read_manifest(bundle)
        self._bundle, self._device = bundle, device
        self.description = json.dumps(json.loads(manifest.public_json()) | {"digest": digest})
        self.channels, self.size = len(manifest.layout), manifest.size
        self.device = device
        self._engine: Any = None

    def open(self) -> None:
        """Load the networks and draw one frame, so that the first one asked for is as quick as all others."""
        import torch

        from edtalk_server.engine import Engine

        start = time.monotonic()
        if threads := os.environ.get("OMP_NUM_THREADS", ""):
            torch.set_num_threads(max(1, int(threads)))
        self._engine = Engine.open(self._bundle, self._device)
        self.device = self._engine.device_name
        grey = np.full((64, 64, 3), 128, np.uint8)
        source = self._engine.prepare(grey, Crop(32.0, 32.0, 64.0))
        self._engine.render(source, source.weights[None])
        log.info("the model is open on %s after %.1f s", self.device, time.monotonic() - start)

    def prepare(self, portrait: bytes, crop: Crop | None) -> Source:
        """See `backend.Backend`."""
        source: Source = self._engine.prepare(load_portrait(portrait), crop)
        return source

    def predict(self, source: Source, voice: bytes, request: Predict, checkpoint: Checkpoint) -> Weights:
        """See `backend.Backend`."""
        from edtalk_server import motion

        return motion.predict(
            self._engine.bundle,
            source.weights,
            load_voice(voice),
            time_base(request),
            request.frames,
            request.seed,
            checkpoint,
        )

    def render(self, source: Source, weights: Weights) -> Frames:
        """See `backend.Backend`."""
        frames: Frames = self._engine.render(source, weights)
        return frames


class FakeBackend:
    """Bars instead of faces: every part of the way but the networks. The mouth follows the loudness of the
    voice."""

    largest_batch = 4

    def __init__(self) -> None:
        from edtalk_server.bundles import BundleManifest, NetworkPart
        from edtalk_server.engine.fake import FakeEngine

        self._engine = FakeEngine()
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
        """Nothing has to be loaded."""

    def prepare(self, portrait: bytes, crop: Crop | None) -> Source:
        """See `backend.Backend`."""
        return self._engine.prepare(load_portrait(portrait), crop)

    def predict(self, source: Source, voice: bytes, request: Predict, checkpoint: Checkpoint) -> Weights:
        """All mouth weights are the loudness (root mean square) around their frame."""
        waveform, times = load_voice(voice), time_base(request)
        count = request.frames or times.frame_count(waveform.duration - times.offset)
        weights = np.repeat(np.reshape(source.weights, (1, -1)), count, axis=0)
        window = SAMPLE_RATE // 25
        for row in range(count):
            checkpoint()
            start = max(0, round(times.seconds(row) * SAMPLE_RATE))
            heard = waveform.samples[start : start + window]
            loudness = float(np.sqrt(np.mean(heard**2))) if len(heard) else 0.0
            weights[row, self._engine.layout.slice_of(Bank.MOUTH)] = loudness
        return weights

    def render(self, source: Any, weights: Weights) -> Frames:
        """See `backend.Backend`."""
        return self._engine.render(source, weights)


def time_base(request: Predict) -> TimeBase:
    """The time base a request asks for: row 0 is at its offset."""
    rate = Fraction(request.fps_numerator, request.fps_denominator)
    return TimeBase(rate, 0, Fraction(request.offset).limit_denominator(1_000_000))
