"""Shards: one set of `.npy` files for each worker, memory-mapped, so that readers can work while the writer works.

`<folder>/<worker>_<name>.npy`, N rows each, with names and types as in `FIELDS`; `done` [1] is the number of rows
that are complete. Clips are eight consecutive rows. A restarted writer continues after the last complete clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.controls import CHANNELS
from edtalk_server.synthetic.data.clips import FLOW_SIZE, Clip
from edtalk_server.synthetic.data.sampling import CLIP_LENGTH

FLOW_UNIT = 64.0
"""Stored flow is in this part of a pixel at 128."""
_FLOW_LIMIT = 32000

FIELDS: Mapping[str, tuple[tuple[int, ...], type[np.generic]]] = {
    "img": ((128, 128, 3), np.uint8),
    "mat": ((FLOW_SIZE, FLOW_SIZE), np.uint8),
    "lm": ((68, 2), np.float32),
    "weights": ((CHANNELS,), np.float32),
    "flow": ((2, FLOW_SIZE, FLOW_SIZE, 2), np.int16),
    "vis": ((2, FLOW_SIZE, FLOW_SIZE), np.uint8),
    "src": ((2,), np.int32),
    "identity": ((), np.int32),
}
LARGE_FIELDS: Mapping[str, tuple[tuple[int, ...], type[np.generic]]] = {"img256": ((256, 256, 3), np.uint8)}
"""Also written when clips are rendered at 256 pixels; `img` is then that picture halved."""


@dataclass(frozen=True)
class Shard:
    """One worker's arrays, by field name."""

    arrays: dict[str, npt.NDArray]
    done: npt.NDArray[np.int32]

    @property
    def rows(self) -> int:
        """Return the number of complete rows."""
        return int(self.done[0])

    @property
    def capacity(self) -> int:
        """Return the number of rows of the finished shard."""
        return len(self.arrays["img"])


def _path(folder: Path, worker: int, name: str) -> Path:
    return folder / f"{worker}_{name}.npy"


def _array(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> npt.NDArray:
    """Open an array for writing; a file of another size or type is replaced."""
    if path.exists():
        existing = np.lib.format.open_memmap(path, mode="r+")
        if existing.shape == shape and existing.dtype == kind:
            return existing
        del existing
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def open_for_writing(folder: Path, worker: int, rows: int, large: bool) -> Shard:
    """Create or continues a worker's shard of `rows` rows, a multiple of 8."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = dict(FIELDS) | (dict(LARGE_FIELDS) if large else {})
    fresh = not all(_path(folder, worker, name).exists() for name in (*fields, "done"))
    arrays = {
        name: _array(_path(folder, worker, name), (rows, *shape), kind)
        for name, (shape, kind) in fields.items()
    }
    done = _array(_path(folder, worker, "done"), (1,), np.int32)
    if fresh or int(done[0]) > rows:
        done[0] = 0
    return Shard(arrays, done)


def open_for_reading(folder: Path, worker: int) -> Shard:
    """Map a worker's shard read-only; `rows` grows while its writer works. `FileNotFoundError` when there is
    none."""
    names = [*FIELDS] + [name for name in LARGE_FIELDS if _path(folder, worker, name).exists()]
    arrays = {name: np.load(_path(folder, worker, name), mmap_mode="r") for name in names}
    return Shard(arrays, np.load(_path(folder, worker, "done"), mmap_mode="r"))


def write_clip(shard: Shard, clip: Clip, number: int) -> None:
    """Write clip `number` and then counts it as done."""
    start = number * CLIP_LENGTH
    for row, (frame, pairs) in enumerate(zip(clip.frames, clip.pairs, strict=True), start):
        _write_pictures(shard, row, frame.image, frame.parts)
        shard.arrays["lm"][row] = frame.landmarks
        shard.arrays["weights"][row] = frame.weights
        shard.arrays["identity"][row] = clip.identity
        for side, pair in enumerate(pairs):
            flow = np.round(pair.flow * FLOW_UNIT)
            shard.arrays["flow"][row, side] = np.clip(flow, -_FLOW_LIMIT, _FLOW_LIMIT)
            shard.arrays["vis"][row, side] = pair.visible
            shard.arrays["src"][row, side] = start + pair.source
    shard.done[0] = start + CLIP_LENGTH


def _write_pictures(shard: Shard, row: int, image: npt.NDArray, parts: npt.NDArray) -> None:
    step = len(parts) // FLOW_SIZE
    shard.arrays["mat"][row] = parts[step // 2 :: step, step // 2 :: step]
    if step == 1:
        shard.arrays["img"][row] = image
        return
    shard.arrays["img256"][row] = image
    shard.arrays["img"][row] = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)
