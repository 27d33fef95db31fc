"""Clips from the shards that `edtalk train data` writes (see `synthetic.data.shards` for their layout).

The rows of a clip are moments in random order, not consecutive frames. Shards may still be growing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.engine.tensors import to_tensor
from edtalk_server.synthetic.data.sampling import CLIP_LENGTH
from edtalk_server.training.datasets.interface import ClipBatch, Motion, Random, resized
from shared_protocol.errors import EDTalkError, ErrorCode

_FIELDS = ("mat", "lm", "weights", "flow", "vis", "src", "identity")
_FLOW_UNIT = 1.0 / 64.0 / 128.0
"""A unit of stored flow, in parts of the picture's width."""
_TO_FIRST = 0
"""Index of the flow, of a row's two, that leads to the clip's first row."""


@dataclass(frozen=True)
class _Shard:
    arrays: dict[str, npt.NDArray[Any]]
    done: npt.NDArray[Any]

    @property
    def clips(self) -> int:
        return int(self.done[0]) // CLIP_LENGTH


class CachedClips:
    """All shards of a folder. The source of every clip is its first row, the calmest one."""

    has_truth = True
    consecutive = False

    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        self._shards = [_open(path) for path in sorted(folder.glob("*_done.npy"))]
        if not any(shard.clips for shard in self._shards):
            raise EDTalkError(
                ErrorCode.NOT_READY,
                f"There is not one finished clip in {folder}.",
                "Run `edtalk train data` first, or wait for it.",
            )

    def clips(self, rng: Random, count: int, length: int) -> ClipBatch:
        if length >= CLIP_LENGTH:
            raise ValueError(
                f"clips of these shards have {CLIP_LENGTH - 1} frames and a source, not {length}"
            )
        starts = np.cumsum([0, *(shard.clips for shard in self._shards)])
        chosen = rng.integers(0, starts[-1], count)
        parts = [self._clip(int(n), starts, rng, length) for n in chosen]
        return _stacked(parts)

    def _clip(self, number: int, starts: npt.NDArray[Any], rng: Random, length: int) -> ClipBatch:
        which = int(np.searchsorted(starts, number, side="right")) - 1
        arrays = self._shards[which].arrays
        first = (number - int(starts[which])) * CLIP_LENGTH
        rows = first + 1 + np.sort(rng.choice(CLIP_LENGTH - 1, length, replace=False))
        return ClipBatch(
            source=self._pictures(arrays, np.array([first]))[0],
            frames=self._pictures(arrays, rows),
            landmarks=torch.from_numpy(np.array(arrays["lm"][rows])),
            identity=torch.tensor(int(arrays["identity"][first])),
            weights=torch.from_numpy(np.array(arrays["weights"][rows])),
            source_weights=torch.from_numpy(np.array(arrays["weights"][first])),
            motion=_motion(arrays, rows),
            parts=torch.from_numpy(np.array(arrays["mat"][rows])).long(),
        )

    def _pictures(self, arrays: dict[str, npt.NDArray[Any]], rows: npt.NDArray[Any]) -> Tensor:
        name = "img256" if self.size > 128 and "img256" in arrays else "img"
        return resized(to_tensor(np.array(arrays[name][rows])), self.size)


def _open(done: Path) -> _Shard:
    prefix = done.name.removesuffix("_done.npy")
    paths = {name: done.with_name(f"{prefix}_{name}.npy") for name in (*_FIELDS, "img", "img256")}
    arrays = {name: np.load(path, mmap_mode="r") for name, path in paths.items() if path.is_file()}
    return _Shard(arrays, np.load(done, mmap_mode="r"))


def _motion(arrays: dict[str, npt.NDArray[Any]], rows: npt.NDArray[Any]) -> Motion:
    flow = arrays["flow"][rows, _TO_FIRST].astype(np.float32) * _FLOW_UNIT
    return Motion.from_render(flow, np.array(arrays["vis"][rows, _TO_FIRST]), np.array(arrays["mat"][rows]))


def _stacked(parts: list[ClipBatch]) -> ClipBatch:
    def stack(name: str) -> Tensor:
        return torch.stack([getattr(part, name) for part in parts])

    motions = [part.motion for part in parts if part.motion is not None]
    return ClipBatch(
        source=stack("source"),
        frames=stack("frames"),
        landmarks=stack("landmarks"),
        identity=stack("identity"),
        weights=stack("weights"),
        source_weights=stack("source_weights"),
        motion=Motion.stack(motions),
        parts=stack("parts"),
    )
