"""The film of a person: pairs to learn from, and the end of each clip, which is kept for judging."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.engine.tensors import Pictures, to_tensor
from edtalk_server.training.datasets.film.cache import ClipRecord, FilmCache, StoredClip
from edtalk_server.training.datasets.interface import FRAME_RATE, Random
from shared_protocol.errors import EDTalkError, ErrorCode

_BATCH = 16
_HELD_OUT = 0.15
_MOST_HELD_OUT = 5 * FRAME_RATE
_JUDGED = 24
"""So many pictures of what is held out are drawn to judge."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FilmPairs:
    """Two pictures of a shot each: [B, 3, S, S] in [-1, 1], the target's landmarks [B, 68, 2], and the weights that the
    bundle's reader says of both, [B, channels]."""

    source: Tensor
    target: Tensor
    landmarks: Tensor
    source_weights: Tensor
    target_weights: Tensor


@dataclass(frozen=True)
class HeldOut:
    """Pictures uint8 [N, S, S, 3] of a shot, the weights [N, channels] that the bundle reads off them, and another
    picture of the shot as their source, [1, 3, S, S] in [-1, 1]."""

    source: Tensor
    pictures: Pictures
    weights: Tensor


@dataclass(frozen=True)
class _Take:
    """One clip: `weights` [T, channels] of all its pictures; by shot, those to learn from and those to judge by."""

    stored: StoredClip
    weights: Floats
    learned: tuple[npt.NDArray[np.intp], ...]
    judged: tuple[npt.NDArray[np.intp], ...]


class Material:
    """All usable clips of a cache, as a face network reads them."""

    def __init__(self, cache: FilmCache, face: Any, device: torch.device) -> None:
        records = cache.records()
        if not records:
            raise _nothing(cache)
        self.device = device
        self.records = list(records.values())
        self._takes = [_take(folder, record, face, device) for folder, record in records.items()]
        counts = np.array([sum(map(len, take.learned)) for take in self._takes], np.float64)
        self._shares = counts / counts.sum()
        self.seconds = float(sum(sum(map(len, (*t.learned, *t.judged))) for t in self._takes) / FRAME_RATE)

    def pairs(self, rng: Random, count: int) -> FilmPairs:
        """Pairs of pictures of one shot each, all pictures alike often."""
        rows = [self._pair(rng) for _ in range(count)]
        sources, targets, marks, own, driving = (np.stack(column) for column in zip(*rows, strict=True))
        return FilmPairs(
            to_tensor(sources).to(self.device),
            to_tensor(targets).to(self.device),
            *(torch.from_numpy(one).to(self.device) for one in (marks, own, driving)),
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
        """Differences between the weights of two pictures of a clip, [count, channels]."""
        rows = []
        for _ in range(count):
            take = self._takes[int(rng.choice(len(self._takes), p=self._shares))]
            one, other = rng.choice(np.concatenate(take.learned), 2)
            rows.append(take.weights[one] - take.weights[other])
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def held_out(self) -> Iterator[HeldOut]:
        """Yield pictures that are not learned from, some of each shot, with the first picture of the shot."""
        each = max(1, _JUDGED // sum(len(take.judged) for take in self._takes))
        for take in self._takes:
            for learned, judged in zip(take.learned, take.judged, strict=True):
                chosen = judged[np.linspace(0, len(judged) - 1, min(each, len(judged))).astype(int)]
                source = to_tensor(take.stored.pictures([int(learned[0])])).to(self.device)
                pictures = take.stored.pictures([int(number) for number in chosen])
                yield HeldOut(source, pictures, torch.from_numpy(take.weights[chosen]).to(self.device))


def _take(folder: Path, record: ClipRecord, face: Any, device: torch.device) -> _Take:
    stored = StoredClip(folder)
    learned, judged = [], []
    for first, stop, _ in record.runs:
        end = stop - min(_MOST_HELD_OUT, max(1, round(_HELD_OUT * (stop - first))))
        learned.append(np.arange(first, end))
        judged.append(np.arange(end, stop))
    return _Take(stored, _read(stored, record.frames, face, device), tuple(learned), tuple(judged))


@torch.no_grad()
def _read(stored: StoredClip, frames: int, face: Any, device: torch.device) -> Floats:
    rows = []
    for first in range(0, frames, _BATCH):
        pictures = stored.pictures(range(first, min(first + _BATCH, frames)))
        rows.append(face.weights_of(to_tensor(pictures).to(device)).float().cpu().numpy())
    return np.concatenate(rows).astype(np.float32)


def _nothing(cache: FilmCache) -> EDTalkError:
    reasons = "; ".join(f"{one.name}: {one.reason}" for one in cache.skipped())
    return EDTalkError(
        ErrorCode.NO_FACE,
        f"None of the clips can be used. {reasons}",
        "Use a film of one face from the front, well lit and not covered, of at least a few seconds.",
    )
