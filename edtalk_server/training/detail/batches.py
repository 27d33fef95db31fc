"""Rows of `render` -> batches for the painters, in varied colours and light.

Boxes are seen without their tone (`networks.detail`); here whole cameras are varied, the source's weights are told with
much noise, because on photographs they are misread, and the change with little. What a camera does to a photo is done
to the source and the drawn box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.networks.detail.boxes import EYE_SIZE, MOUTH_SIZE, box_coordinates, face_boxes
from edtalk_server.networks.detail.network import teeth_guide
from edtalk_server.synthetic.controls import MIRROR_LANDMARKS, MIRROR_PERMUTATION, MIRROR_SIGN
from edtalk_server.training.detail.render import open_rows
from edtalk_server.training.starter import augment

_CLEAR = 0.35
"""A weight that changes by so much moves an eye plainly."""
_MOVING_SHARE = 0.75
_CHANGE_NOISE, _OWN_NOISE, _POINT_NOISE = 0.02, 0.12, 0.03
_TEETH_BRIGHTER = (0.9, 1.5)
"""Teeth of the renders are made so many times as bright at random, and the guide with them: it is to be believed."""
_LEAST_TEETH = 12
"""Pixels of teeth from which their light can be told."""
_USUAL_LIGHT = 1.7
"""Where no teeth show: the guide's light over the mean of the box."""


@dataclass(frozen=True)
class Boxed:
    """A batch. Boxes [B, 3, rows, columns] in -1..1: source, drawn, true. `eyes` are [2B, ...], right eyes mirrored."""

    mouth: tuple[Tensor, Tensor, Tensor]
    guide: Tensor
    inside: Tensor
    """[B, 2, rows, columns] inside of the true mouth, teeth."""
    eyes: tuple[Tensor, Tensor, Tensor]
    balls: Tensor
    """[2B, 2, rows, columns] the eyeball in source and truth."""
    weights: Tensor
    """[B, 72] source's own and change."""
    eye_weights: Tensor
    """[2B, 72]"""
    points: Tensor
    """[B, 68, 2] source landmarks in the source mouth's box."""
    teeth: Tensor


class Rows:
    """All shards of a folder, growing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: dict[int, tuple[dict[str, npt.NDArray], npt.NDArray[np.int32]]] = {}

    def refresh(self) -> int:
        """Take in what is new; return the number of rows."""
        for path in self.folder.glob("*_done.npy"):
            worker = int(path.name.split("_")[0])
            self.shards[worker] = (
                self.shards[worker] if worker in self.shards else open_rows(self.folder, worker)
            )
        return sum(int(done[0]) for _, done in self.shards.values())

    def take(
        self, random: np.random.Generator, count: int, moving: Sequence[int] = ()
    ) -> dict[str, npt.NDArray]:
        """Draw `count` random rows; three in four of them move one of the weights `moving` clearly."""
        sizes = np.array([int(done[0]) for _, done in self.shards.values()])
        parts = random.multinomial(count, sizes / sizes.sum())
        picked: list[dict[str, npt.NDArray]] = []
        for (arrays, _), size, part in zip(self.shards.values(), sizes, parts, strict=True):
            index = random.integers(0, size, part)
            if moving:
                weights = np.asarray(arrays["weights"][:size, :, list(moving)])
                clear = np.nonzero(np.abs(weights[:, 1] - weights[:, 0]).max(1) > _CLEAR)[0]
                index = np.where(random.random(part) < _MOVING_SHARE, random.choice(clear, part), index)
            index = np.sort(index)
            picked.append({name: array[index] for name, array in arrays.items()})
        return {name: np.concatenate([part[name] for part in picked]) for name in picked[0]}

    def all(self, names: Sequence[str]) -> dict[str, npt.NDArray]:
        """Return these fields of all rows, in memory."""
        return {
            name: np.concatenate([arrays[name][: int(done[0])] for arrays, done in self.shards.values()])
            for name in names
        }

    def first(self, count: int) -> dict[str, npt.NDArray]:
        """Return the first rows of the first shard."""
        arrays, done = next(iter(self.shards.values()))
        return {name: np.array(array[: min(count, int(done[0]))]) for name, array in arrays.items()}


def _boxes(values: npt.NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float().movedim(-1, -3) / 255


def batch_of(rows: dict[str, npt.NDArray], *, dressed: bool) -> Boxed:
    """Turn rows into tensors; `dressed` varies them."""
    mouth, eyes = _boxes(rows["mouth"]), _boxes(rows["eyes"])
    inside = torch.from_numpy(rows["inside"]).float() / 255
    balls = torch.from_numpy(rows["balls"]).float() / 255
    teeth, enamel = torch.from_numpy(rows["teeth"]), _boxes(rows["enamel"])
    weights, points = torch.from_numpy(rows["weights"]).clone(), torch.from_numpy(rows["points"])
    frames = torch.from_numpy(rows["frames"])
    points = box_coordinates(face_boxes(frames[:, 0]).mouth, points[:, 0], MOUTH_SIZE)
    order, sign = torch.from_numpy(MIRROR_PERMUTATION), torch.from_numpy(MIRROR_SIGN)
    mirrored = weights[..., order] * sign
    if dressed:
        mouth, eyes = _recoloured(mouth, eyes)
    # right eyes are drawn as mirrored left ones, whatever the flip of the mouth
    eye_boxes = torch.cat([eyes[:, 0], eyes[:, 1].flip(-1)])
    eye_balls = torch.cat([balls[:, 0], balls[:, 1].flip(-1)])
    eye_weights = torch.cat([weights, mirrored])
    if dressed:
        flip = torch.rand(len(mouth)) < 0.5
        chosen = flip[:, None, None, None]
        mouth = torch.where(chosen[..., None], mouth.flip(-1), mouth)
        inside, enamel = (
            torch.where(chosen, inside.flip(-1), inside),
            torch.where(chosen, enamel.flip(-1), enamel),
        )
        turned = teeth.flip(2) * torch.tensor([-1.0, 1.0])
        teeth = torch.where(chosen[..., None], turned, teeth)
        weights = torch.where(flip[:, None, None], mirrored, weights)
        over = points[:, torch.from_numpy(MIRROR_LANDMARKS.copy())] * torch.tensor([-1.0, 1.0])
        points = torch.where(flip[:, None, None], over, points)
        points = points + _POINT_NOISE * torch.randn(len(points), 1, 2) + 0.01 * torch.randn_like(points)
    guide = teeth_guide(teeth, enamel)
    mouth, guide = _lit(mouth, guide, inside, dressed=dressed)
    return Boxed(
        mouth=_signed(mouth, dressed=dressed),
        guide=torch.cat([guide[:, :3] * 2 - 1, guide[:, 3:]], 1),
        inside=inside,
        eyes=_signed(eye_boxes, dressed=dressed),
        balls=eye_balls,
        weights=_conditions(weights, dressed=dressed),
        eye_weights=_conditions(eye_weights, dressed=dressed),
        points=points,
        teeth=teeth,
    )


def _recoloured(mouth: Tensor, eyes: Tensor) -> tuple[Tensor, Tensor]:
    """Vary the camera, alike for all boxes of a row: [B, 3, 3, ...] and [B, 2, 3, 3, ...]."""
    wide = mouth.permute(0, 2, 1, 3, 4).flatten(3), eyes.permute(0, 3, 1, 2, 4, 5).flatten(3)
    flat = [x.flatten(2)[..., None] for x in wide]
    coloured = augment.recolour(*flat)
    back = [new.reshape(old.shape) for new, old in zip(coloured, wide, strict=True)]
    new_mouth = back[0].reshape(len(mouth), 3, 3, *MOUTH_SIZE).permute(0, 2, 1, 3, 4)
    new_eyes = back[1].reshape(len(eyes), 3, 2, 3, *EYE_SIZE).permute(0, 2, 3, 1, 4, 5)
    return new_mouth.contiguous(), new_eyes.contiguous()


def _lit(mouth: Tensor, guide: Tensor, inside: Tensor, *, dressed: bool) -> tuple[Tensor, Tensor]:
    """Light the guides as the true picture is, and make true teeth brighter or darker together with them."""
    true = mouth[:, 2]
    teeth = inside[:, 1:2] * guide[:, 3:].amax(1, keepdim=True)
    amount = teeth.sum((2, 3))
    lit = (true * teeth).sum((2, 3)) / (guide[:, :3] * teeth).sum((2, 3)).clamp_min(1e-3)
    usual = true.mean((2, 3)) * _USUAL_LIGHT
    known = (amount > _LEAST_TEETH).float()
    gain = (lit.clamp(0.1, 3) * known + usual * (1 - known))[:, :, None, None]
    if dressed:
        low, high = _TEETH_BRIGHTER
        factor = torch.rand(len(true), 1, 1, 1) * (high - low) + low
        gain = gain * factor
        true = (true * (1 + inside[:, 1:2] * (factor - 1))).clamp(0, 1)
    guide = torch.cat([(guide[:, :3] * gain).clamp(0, 1), guide[:, 3:]], 1)
    return torch.stack([mouth[:, 0], mouth[:, 1], true], 1), guide


def _signed(boxes: Tensor, *, dressed: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return source, drawn and true boxes in -1..1; what a camera does to the photo is done to source and drawn."""
    source, drawn, true = boxes[:, 0], boxes[:, 1], boxes[:, 2]
    if dressed:
        if torch.rand(()) < 0.2:
            source, drawn, true = augment.blur(source), augment.blur(drawn), augment.blur(true)
        if torch.rand(()) < 0.3:
            source, drawn = augment.noise(source, 0.03), augment.noise(drawn, 0.02)
        if torch.rand(()) < 0.15:
            source = augment.compress(source)
    return source * 2 - 1, drawn * 2 - 1, true * 2 - 1


def _conditions(weights: Tensor, *, dressed: bool) -> Tensor:
    """Return what the painters are told of weights [B, 2, 36]: the source's own, and the change."""
    own, change = weights[:, 0], weights[:, 1] - weights[:, 0]
    if dressed:
        own = own + _OWN_NOISE * torch.randn_like(own)
        change = change + _CHANGE_NOISE * torch.randn_like(change)
    return torch.cat([own, change], 1)
