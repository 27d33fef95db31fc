"""A face network as evaluation sees it: 8-bit pictures in and out, on the CPU, without gradients."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from edtalk_server.engine.tensors import to_pictures, to_tensor
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.people.holdout import FloatArray
from edtalk_server.networks.fast import accelerate
from edtalk_server.networks.interface import FaceNetwork

_BATCH = 8
"""Frames that the network computes together."""


class ModelUnderTest:
    """Estimate weights and landmarks, and render, with one network."""

    def __init__(self, network: FaceNetwork) -> None:
        self.network = accelerate(network)

    @property
    def finds_landmarks(self) -> bool:
        """Return whether the network has a landmark detector for cropped faces (`landmarks`)."""
        return hasattr(self.network, "cropped_landmarks_of")

    @torch.inference_mode()
    def estimate(self, frames: Picture) -> FloatArray:
        """Estimate the weights [N, C] of well-cropped faces [N, S, S, 3]."""
        parts = [self.network.weights_of(to_tensor(part)) for part in _batches(frames)]
        return np.asarray(torch.cat(parts).numpy(), np.float32)

    @torch.inference_mode()
    def landmarks(self, frames: Picture) -> FloatArray:
        """Detect the landmarks [N, 68, 2] in 0..1 of well-cropped faces [N, S, S, 3]."""
        detect: Any = self.network.cropped_landmarks_of  # type: ignore[attr-defined]
        return np.asarray(
            torch.cat([detect(to_tensor(part)) for part in _batches(frames)]).numpy(), np.float32
        )

    @torch.inference_mode()
    def prepare(self, frame: Picture, photo: Picture | None = None) -> Any:
        """Prepare a frame [S, S, 3] as the source for `draw`. `photo` [n, n, 3]: the same picture in a multiple of that
        size, for networks that move the photo; `draw` then returns pictures as large."""
        source = self.network.prepare(to_tensor(frame[None]))
        if photo is None:
            return source
        network: Any = self.network
        return network.with_photo(source, to_tensor(photo[None]))

    @torch.inference_mode()
    def draw(self, source: Any, weights: FloatArray) -> Picture:
        """Render a prepared source under weights [N, C]: uint8 [N, S, S, 3]."""
        rows = torch.from_numpy(np.ascontiguousarray(weights, np.float32))
        drawn = [to_pictures(self.network.decode(source, part)) for part in rows.split(_BATCH)]
        return np.concatenate(drawn)

    def frames_per_second(self, frame: Picture, photo: Picture | None = None, seconds: float = 2.0) -> float:
        """Measure frames a second, rendered one at a time as a bake does, without preparing the source. `photo`: as in
        `prepare`."""
        source, own = self.prepare(frame, photo), self.estimate(frame[None])
        rows = own + np.linspace(-0.3, 0.3, 16, dtype=np.float32)[:, None]
        for row in rows[:2]:
            self.draw(source, row[None])
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            self.draw(source, rows[done % len(rows)][None])
            done += 1
        return done / (time.perf_counter() - began)


def _batches(frames: Picture) -> list[Picture]:
    return [frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH)]
