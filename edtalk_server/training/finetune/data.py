"""The film of a person: pairs to learn from, and the end of each shot, which is held out to measure on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.arrays import Floats
from edtalk_server.engine.tensors import Pictures, to_tensor
from edtalk_server.training.datasets.film.cache import ClipRecord, FilmCache, StoredClip
from edtalk_server.training.datasets.interface import FRAME_RATE, Random
from shared_protocol.errors import EDTalkError, ErrorCode

_BATCH = 16
"""Pictures whose weights are estimated at a time."""
_HELD_OUT = 0.15
"""Share of each shot that is held out ..."""
_MOST_HELD_OUT = 5 * FRAME_RATE
"""... but at most this many frames."""
_MEASURED = 24
"""Held-out pictures that are measured on, of the whole film."""

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class FilmPairs:
    """B pairs of pictures of one shot each, [B, 3, S, S] in [-1, 1], the target's landmarks [B, 68, 2] in 0..1, and the
    bundle's estimates of both pictures' weights, [B, channels]."""

    source: Tensor
    target: Tensor
    landmarks: Tensor
    source_weights: Tensor
    target_weights: Tensor


@dataclass(frozen=True)
class HeldOut:
    """Pictures uint8 [N, S, S, 3] of a shot, the bundle's estimates of their weights [N, channels], and another picture
    of the shot as their source, [1, 3, S, S] in [-1, 1]."""

    source: Tensor
    pictures: Pictures
    weights: Tensor


@dataclass(frozen=True)
class _Take:
    """One clip: `weights` [T, channels] of all its pictures; by shot, the frames to learn from and those held out."""

    stored: StoredClip
    weights: Floats
    learned: tuple[Indices, ...]
    held_out: tuple[Indices, ...]


class FilmData:
    """All usable clips of a cache, with a face network's estimates of their weights."""

    def __init__(self, cache: FilmCache, face: Any, device: torch.device) -> None:
        records = cache.records()
        if not records:
            raise _no_usable_clip(cache)
        self.device = device
        self.records = list(records.values())
        self._takes = [_take(folder, record, face, device) for folder, record in records.items()]
        counts = np.array([sum(map(len, take.learned)) for take in self._takes], np.float64)
        self._shares = counts / counts.sum()
        self.seconds = float(sum(sum(map(len, (*t.learned, *t.held_out))) for t in self._takes) / FRAME_RATE)

    def pairs(self, rng: Random, count: int) -> FilmPairs:
        """Return pairs of pictures of one shot each; every picture is equally likely."""
        rows = [self._pair(rng) for _ in range(count)]
        sources, targets, marks, own, driving = (np.stack(column) for column in zip(*rows, strict=True))
        return FilmPairs(
            to_tensor(sources).to(self.device),
            to_tensor(targets).to(self.device),
            *(torch.from_numpy(rows).to(self.device) for rows in (marks, own, driving)),
        )

    def _pair(self, rng: Random) -> tuple[npt.NDArray[Any], ...]:
        take = self._takes[int(rng.choice(len(self._takes), p=self._shares))]
        sizes = np.array([len(shot) for shot in take.learned], np.float64)
        shot = take.learned[int(rng.choice(len(take.learned), p=sizes / sizes.sum()))]
        chosen = [int(number) for number in rng.choice(shot, 2)]
        source, target = take.stored.pictures(chosen)
        marks = take.stored.landmarks(chosen[1:])[0]
        return source, target, marks, take.weights[chosen[0]], take.weights[chosen[1]]

    def changes(self, rng: Random, count: int) -> Tensor:
        """Return differences between the weights of two pictures of a clip, [count, channels]."""
        rows = []
        for _ in range(count):
            take = self._takes[int(rng.choice(len(self._takes), p=self._shares))]
            first, second = rng.choice(np.concatenate(take.learned), 2)
            rows.append(take.weights[first] - take.weights[second])
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def held_out(self) -> Iterator[HeldOut]:
        """Yield pictures that are not learned from, some of each shot, with the first picture of the shot."""
        each = max(1, _MEASURED // sum(len(take.held_out) for take in self._takes))
        for take in self._takes:
            for learned, rest in zip(take.learned, take.held_out, strict=True):
                chosen = rest[np.linspace(0, len(rest) - 1, min(each, len(rest))).astype(int)]
                source = to_tensor(take.stored.pictures([int(learned[0])])).to(self.device)
                pictures = take.stored.pictures([int(number) for number in chosen])
                yield HeldOut(source, pictures, torch.from_numpy(take.weights[chosen]).to(self.device))


def _take(folder: Path, record: ClipRecord, face: Any, device: torch.device) -> _Take:
    stored = StoredClip(folder)
    learned, held_out = [], []
    for first, stop, _ in record.runs:
        end = stop - min(_MOST_HELD_OUT, max(1, round(_HELD_OUT * (stop - first))))
        learned.append(np.arange(first, end))
        held_out.append(np.arange(end, stop))
    weights = _estimate_weights(stored, record.frames, face, device)
    return _Take(stored, weights, tuple(learned), tuple(held_out))


@torch.no_grad()
def _estimate_weights(stored: StoredClip, frames: int, face: Any, device: torch.device) -> Floats:
    rows = []
    for first in range(0, frames, _BATCH):
        pictures = stored.pictures(range(first, min(first + _BATCH, frames)))
        rows.append(face.weights_of(to_tensor(pictures).to(device)).float().cpu().numpy())
    return np.concatenate(rows).astype(np.float32)


def _no_usable_clip(cache: FilmCache) -> EDTalkError:
    reasons = "; ".join(f"{record.name}: {record.reason}" for record in cache.skipped())
    return EDTalkError(
        ErrorCode.NO_FACE,
        f"None of the clips can be used. {reasons}",
        "Use a film of one face from the front, well lit and not covered, of at least a few seconds.",
    )
