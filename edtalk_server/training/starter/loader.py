"""Shards of rendered frames -> batches.

A shard is a set of memory-mapped arrays `<worker>_<name>.npy` that another process may still be filling; `done` says
how many rows are valid, and eight consecutive rows are one clip of one identity. Pictures are uint8 [N, 128, 128, 3];
`flow` is target -> source in 1/64 pixel at 128, `vis` 0 hidden, 1 visible, 2 background in both; `src` [N, 2] are the
source rows of a frame's two flows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.synthetic.controls import MIRROR_LANDMARKS, mirror
from shared_protocol.errors import EDTalkError, ErrorCode

Array = npt.NDArray[Any]
CLIP = 8
PIXELS = 128
BACKGROUND = 255
INSIDE_MOUTH = (2, 3, 4)  # `mat`: cavity, gums and tongue, teeth
FLOW_UNIT = 2.0 / PIXELS / 64.0
NAMES = ("img", "mat", "lm", "weights", "flow", "vis", "src", "identity")
COARSE = 64
BLOCK = 64  # rows turned into the coarse cache at a time


class Batch:
    """Tensors that go to a device together."""

    def on(self, device: torch.device) -> Self:
        """Return the batch on another device; itself where it is there already."""
        if device.type == "cpu":
            return self
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**moved)


@dataclass(frozen=True)
class Pairs(Batch):
    """A batch of (source, target) frames of one identity. Maps are [B, C, n, n] float32; pictures in [0, 1].

    `flow` leads from target to source in units of which the picture has 2; `trust` is how much its error counts
    (0..1), `visible` whether the source shows the spot (0..1), both [B, 1, f, f] with flow's size f. Landmarks are
    those of the target, [B, 68, 2] in 0..1. Weights are [B, 36].
    """

    source: Tensor
    target: Tensor
    flow: Tensor
    trust: Tensor
    visible: Tensor
    landmarks: Tensor
    source_weights: Tensor
    target_weights: Tensor
    inside: Tensor
    """1 where the target shows the inside of the mouth, [B, 1, 128, 128]; [B, 1, 1, 1] zeros with small pictures."""


@dataclass(frozen=True)
class Views(Batch):
    """A batch of single frames: pictures [B, 3, 128, 128] in [0, 1], weights [B, 36], landmarks [B, 68, 2]."""

    images: Tensor
    weights: Tensor
    landmarks: Tensor


@dataclass(frozen=True)
class Rows:
    """Chosen pairs of one shard: target rows, which of their two flows, and the rows those lead to."""

    target: npt.NDArray[np.intp]
    slot: npt.NDArray[np.intp]
    source: npt.NDArray[np.intp]


@dataclass
class Shard:
    """One worker's arrays, and their maps at 64 pixels, computed once."""

    arrays: dict[str, Array]
    coarse: bool
    rows: int = 0
    images: Array = field(init=False)
    flow: Array = field(init=False)
    trust: Array = field(init=False)
    visible: Array = field(init=False)
    estimated: Array | None = None
    """The motion encoder's weights for each row, [N, 36]; see `motion_stage.estimate_weights`."""

    def __post_init__(self) -> None:
        n = len(self.arrays["img"]) if self.coarse else 0
        self.images = np.zeros((n, COARSE, COARSE, 3), np.uint8)
        self.flow = np.zeros((n, 2, COARSE, COARSE, 2), np.float16)
        self.trust = np.zeros((n, 2, COARSE, COARSE), np.uint8)
        self.visible = np.zeros((n, 2, COARSE, COARSE), np.uint8)

    def extend(self, rows: int) -> None:
        """Make the rows up to `rows` available."""
        for first in range(self.rows, rows, BLOCK) if self.coarse else ():
            self._shrink(slice(first, min(first + BLOCK, rows)))
        self.rows = rows

    def _shrink(self, part: slice) -> None:
        image = self.arrays["img"][part]
        self.images[part] = np.round(_average(image.astype(np.float32), 2))
        vis = self.arrays["vis"][part]
        trust = _trust(vis, self.arrays["mat"][part])
        flow = self.arrays["flow"][part].astype(np.float32) * FLOW_UNIT
        n = len(vis)
        total = trust.reshape(n, 2, COARSE, 2, COARSE, 2).mean((3, 5))
        weighted = (flow * trust[..., None]).reshape(n, 2, COARSE, 2, COARSE, 2, 2).mean((3, 5))
        self.flow[part] = weighted / (total[..., None] + 1e-6)
        self.trust[part] = np.round(total * 255)
        visible = (vis > 0).astype(np.float32).reshape(n, 2, COARSE, 2, COARSE, 2).mean((3, 5))
        self.visible[part] = np.round(visible * 255)


def _average(images: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    n, height, width, channels = images.shape
    shape = (n, height // factor, factor, width // factor, factor, channels)
    return np.asarray(images.reshape(shape).mean((2, 4)), np.float32)


def _trust(vis: Array, mat: Array) -> npt.NDArray[np.float32]:
    """Return trust in the flow: full for visible skin, less for still background, little for hidden skin (a fair
    guess)."""
    hidden = (vis == 0) & (mat != BACKGROUND)[:, None]
    return np.asarray((vis == 1) + 0.3 * (vis == 2) + 0.15 * hidden, np.float32)


class Corpus:
    """All shards of a folder. `limit` is the most rows of each, for fixed validation batches; without `coarse` there
    are single views only, no pairs."""

    def __init__(self, folder: Path, limit: int | None = None, coarse: bool = True) -> None:
        self.folder = folder
        self.limit = limit
        self.coarse = coarse
        self.shards: dict[str, Shard] = {}

    def refresh(self) -> int:
        """Take in newly rendered rows; return their number so far. `EDTalkError(NOT_READY)` when there is none."""
        for path in sorted(self.folder.glob("*_done.npy")):
            prefix = path.name.removesuffix("_done.npy")
            if prefix not in self.shards:
                self.shards[prefix] = Shard(_open(self.folder, prefix), self.coarse)
            done = int(np.load(path)[0]) // CLIP * CLIP
            self.shards[prefix].extend(min(done, self.limit or done))
        rows = sum(shard.rows for shard in self.shards.values())
        if rows == 0:
            raise EDTalkError(
                ErrorCode.NOT_READY,
                f"There is not one finished clip in {self.folder}.",
                "Run `edtalk train data` first, or wait for it.",
            )
        return rows

    def split(self, rng: np.random.Generator, count: int) -> list[tuple[Shard, npt.NDArray[np.intp]]]:
        """Draw `count` random rows, in proportion to the shards' sizes."""
        shards = list(self.shards.values())
        sizes = np.array([shard.rows for shard in shards])
        parts = rng.multinomial(count, sizes / sizes.sum())
        return [(s, rng.integers(0, s.rows, n)) for s, n in zip(shards, parts, strict=True) if n]

    def pairs(self, rng: np.random.Generator, count: int, size: int, estimate_share: float = 0.0) -> Pairs:
        """Draw `count` pairs with pictures of `size` (64 or 128), half of them mirrored. `estimate_share` of them carry
        the motion encoder's weights instead of the true ones."""
        parts = []
        for shard, rows in self.split(rng, count):
            slot = rng.integers(0, 2, len(rows))
            source = np.asarray(shard.arrays["src"][rows, slot], np.intp)
            parts.append(_gather(shard, Rows(rows, slot, source), size, rng, estimate_share))
        return _join(parts)

    def views(self, rng: np.random.Generator, count: int) -> Views:
        """Draw `count` single frames at 128 pixels. Rows 2k and 2k + 1 are from one clip; half of these couples are
        mirrored."""
        images, weights, landmarks = [], [], []
        for shard, first in self.split(rng, count // 2):
            rows = np.stack([first, _another_of_clip(rng, first)], 1).reshape(-1)
            flip = np.repeat(rng.random(len(first)) < 0.5, 2)
            images.append(_flipped(np.stack([shard.arrays["img"][row] for row in rows]), flip))
            weights.append(_mirrored(np.array(shard.arrays["weights"][rows]), flip))
            landmarks.append(_mirrored_landmarks(np.array(shard.arrays["lm"][rows]), flip))
        picture = _picture(np.concatenate(images))
        return Views(picture, _tensor(np.concatenate(weights)), _tensor(np.concatenate(landmarks)))


def _another_of_clip(rng: np.random.Generator, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return, for each row, a different one of its clip."""
    return rows // CLIP * CLIP + (rows + rng.integers(1, CLIP, len(rows))) % CLIP


def _open(folder: Path, prefix: str) -> dict[str, Array]:
    return {name: np.load(folder / f"{prefix}_{name}.npy", mmap_mode="r") for name in NAMES}


def _gather(
    shard: Shard, rows: Rows, size: int, rng: np.random.Generator, estimate_share: float
) -> dict[str, Array]:
    flip = rng.random(len(rows.target)) < 0.5
    if size == COARSE:
        source, target = shard.images[rows.source], shard.images[rows.target]
        inside: Array = np.zeros((len(rows.target), 1, 1), np.bool_)
    else:
        inside = np.isin(np.stack([shard.arrays["mat"][row] for row in rows.target]), INSIDE_MOUTH)
        source = np.stack([shard.arrays["img"][row] for row in rows.source])
        target = np.stack([shard.arrays["img"][row] for row in rows.target])
    flow = _flipped(shard.flow[rows.target, rows.slot].astype(np.float32), flip)
    flow[flip, :, :, 0] *= -1
    weights_s, weights_t = _weights(shard, rows, rng.random(len(rows.target)) < estimate_share)
    return {
        "source": _flipped(source, flip),
        "target": _flipped(target, flip),
        "flow": flow,
        "trust": _flipped(shard.trust[rows.target, rows.slot], flip),
        "inside": _flipped(inside, flip),
        "visible": _flipped(shard.visible[rows.target, rows.slot], flip),
        "landmarks": _mirrored_landmarks(np.array(shard.arrays["lm"][rows.target]), flip),
        "source_weights": _mirrored(weights_s, flip),
        "target_weights": _mirrored(weights_t, flip),
    }


def _weights(shard: Shard, rows: Rows, chosen: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    true = shard.arrays["weights"]
    source, target = np.array(true[rows.source]), np.array(true[rows.target])
    if shard.estimated is not None:
        # rows that came since may be drawn by threads before they have an estimate
        chosen = chosen & (np.maximum(rows.source, rows.target) < len(shard.estimated))
        source[chosen] = shard.estimated[rows.source[chosen]]
        target[chosen] = shard.estimated[rows.target[chosen]]
    return source, target


def _flipped(maps: Array, flip: npt.NDArray[np.bool_]) -> Array:
    """Return a copy of [B, n, n, ...] with the chosen ones mirrored."""
    maps = np.array(maps)
    maps[flip] = maps[flip, :, ::-1]
    return maps


def _mirrored(weights: Array, flip: npt.NDArray[np.bool_]) -> Array:
    weights[flip] = mirror(weights[flip])  # type: ignore[arg-type]
    return weights


def _mirrored_landmarks(points: Array, flip: npt.NDArray[np.bool_]) -> Array:
    points[flip] = points[flip][:, MIRROR_LANDMARKS] * [-1, 1] + [1, 0]  # type: ignore[operator]
    return points


def _join(parts: list[dict[str, Array]]) -> Pairs:
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Pairs(
        source=_picture(whole["source"]),
        target=_picture(whole["target"]),
        flow=_tensor(whole["flow"]).permute(0, 3, 1, 2),
        trust=_tensor(whole["trust"])[:, None] / 255,
        visible=_tensor(whole["visible"])[:, None] / 255,
        landmarks=_tensor(whole["landmarks"]),
        inside=_tensor(whole["inside"])[:, None],
        source_weights=_tensor(whole["source_weights"]),
        target_weights=_tensor(whole["target_weights"]),
    )


def _picture(images: Array) -> Tensor:
    """Return uint8 [B, n, n, 3] as float32 [B, 3, n, n] in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
