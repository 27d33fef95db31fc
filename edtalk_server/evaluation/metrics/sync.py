"""LSE-C, LSE-D and the offset of lips and sound (Chung and Zisserman 2016; Prajwal et al. 2020).

A judge turns five frames of a face, and the sound of the same 0.2 seconds, into vectors; the smaller their distance,
the better they fit. `metrics.syncnet` is the judge of the literature, with the user's weights; `ExpertJudge` is this
project's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.engine.tensors import to_tensor
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.metrics.landmarks import Points
from edtalk_server.media.audio.mel import SAMPLES_PER_FRAME, mel_spectrogram, windows
from edtalk_server.media.audio.voice import Waveform

Embeddings = npt.NDArray[np.float32]
"""One row for each run of five frames [T - 4, D]."""

FRAMES = 5
"""Frames that a judge looks at together."""
REACH = 15
"""Largest offset that is tried, in frames."""
_LEAST = 2
"""At least one of so many runs must have a partner at an offset."""
_MIDDLE = FRAMES // 2
"""The frame of a run whose mel window covers the same time as the run."""
_BATCH = 64


class Sync(NamedTuple):
    """LSE-C (`confidence`, higher is better), LSE-D (`distance`, lower is better), and by how many frames the sound
    comes before the lips that it fits (`offset`; 0: in sync)."""

    confidence: float
    distance: float
    offset: float


class SyncJudge(Protocol):
    """Embeds lips and sound in one space."""

    @property
    def padded(self) -> bool:
        """Whether runs that lie outside the clip count as zeros, as in the literature's program."""

    def lips(self, frames: Picture, landmarks: Points | None) -> Embeddings:
        """Embed all runs of five frames of [T, S, S, 3] at 25 a second; landmarks [T, 68, 2] in 0..1."""

    def sound(self, voice: Waveform, frames: int) -> Embeddings:
        """Embed the sound of the same runs of a clip of `frames` frames."""


def sync(judge: SyncJudge, frames: Picture, landmarks: Points | None, voice: Waveform) -> Sync | None:
    """Judge a clip [T, S, S, 3] that begins with its voice; None when it is too short for any offset."""
    count = min(len(frames), len(voice.samples) // SAMPLES_PER_FRAME)
    if count < 2 * FRAMES:
        return None
    points = None if landmarks is None else landmarks[:count]
    return score(judge.lips(frames[:count], points), judge.sound(voice, count), padded=judge.padded)


def score(lips: Embeddings, sound: Embeddings, reach: int = REACH, padded: bool = False) -> Sync:
    """Score embeddings [N, D] of the same runs.

    The mean distance is taken at every offset up to `reach` frames; LSE-D is the least of them, LSE-C their median
    minus that. Without `padded`, runs without a partner are left out, and offsets at which fewer than half have one.
    """
    if not padded:
        reach = min(reach, len(lips) // _LEAST)
    offsets = np.arange(-reach, reach + 1)
    means = np.array([_distance_at(lips, sound, int(offset), padded) for offset in offsets])
    best = int(means.argmin())
    return Sync(float(np.median(means) - means[best]), float(means[best]), float(offsets[best]))


def _distance_at(lips: Embeddings, sound: Embeddings, offset: int, padded: bool) -> float:
    """Return the mean distance of lips i and sound i - offset."""
    partners = np.arange(len(lips)) - offset
    known = (partners >= 0) & (partners < len(sound))
    if not padded:
        return float(np.linalg.norm(lips[known] - sound[partners[known]], axis=1).mean())
    there = np.where(known[:, None], sound[partners.clip(0, len(sound) - 1)], 0.0)
    return float(np.linalg.norm(lips - there, axis=1).mean())


@dataclass(frozen=True)
class ExpertJudge:
    """A judge of lower half-faces and mel windows, such as the role `sync` of a bundle.

    `embed_lips` maps [N, 15, 48, 96] and `embed_sound` [N, 1, 80, 16] to vectors of length one [N, D]; `cut` cuts the
    half-faces [1, T - 4, 15, 48, 96] out of frames [1, T, 3, S, S] with landmarks [1, T, 68, 2].
    """

    embed_lips: Callable[[Tensor], Tensor]
    embed_sound: Callable[[Tensor], Tensor]
    cut: Callable[[Tensor, Tensor], Tensor]
    padded: bool = False

    @torch.inference_mode()
    def lips(self, frames: Picture, landmarks: Points | None) -> Embeddings:
        if landmarks is None:
            raise ValueError("lower half-faces are cut out by landmarks")
        points = torch.from_numpy(np.asarray(landmarks, np.float32))
        halves = self.cut(to_tensor(frames)[None], points[None])[0]
        return _embedded(self.embed_lips, halves)

    @torch.inference_mode()
    def sound(self, voice: Waveform, frames: int) -> Embeddings:
        mel = windows(mel_spectrogram(voice.samples[: frames * SAMPLES_PER_FRAME]), frames)
        runs = mel[_MIDDLE : frames - FRAMES + 1 + _MIDDLE, None]
        return _embedded(self.embed_sound, torch.from_numpy(np.ascontiguousarray(runs)))


def _embedded(embed: Callable[[Tensor], Tensor], rows: Tensor) -> Embeddings:
    return np.asarray(torch.cat([embed(part) for part in rows.split(_BATCH)]).float().numpy(), np.float32)
