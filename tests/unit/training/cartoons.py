"""Cartoon faces of 32 pixels as training data: drawn in no time, with all the truth that rendered people have."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edtalk_server.synthetic.controls import CHANNELS, SHIFT_X, STARTER_LAYOUT
from edtalk_server.training.datasets.interface import ClipBatch, Motion, Random, SpokenBatch, SwapBatch

SIZE = 32
JAW, BROWS = STARTER_LAYOUT.index("jaw_open"), STARTER_LAYOUT.index("brow_raise")
_SHIFT = 0.1  # of the picture's width for a pose weight of 1


def draw(colours: Tensor, weights: Tensor) -> Tensor:
    """[B, 3, 32, 32]: a disc in `colours` [B, 3] that moves with the pose, a mouth that opens, brows that rise."""
    line = (torch.arange(SIZE) + 0.5) / SIZE
    y, x = torch.meshgrid(line, line, indexing="ij")
    shift, jaw, brows = (weights[:, i, None, None] for i in (SHIFT_X, JAW, BROWS))
    dx = x - 0.5 - _SHIFT * shift

    def spot(centre: Tensor | float, width: float, height: Tensor | float) -> Tensor:
        inside = 1 - (dx / width).square() - ((y - centre) / height).square()
        return torch.sigmoid(8 * inside)[:, None]

    picture = torch.full((len(weights), 3, SIZE, SIZE), -0.6)
    for shape, colour in (
        (spot(0.5, 0.32, 0.4), colours[:, :, None, None]),
        (spot(0.7, 0.14, 0.03 + 0.09 * jaw), torch.full((1, 3, 1, 1), -0.9)),
        (spot(0.36 - 0.08 * brows, 0.2, 0.04), torch.full((1, 3, 1, 1), 0.9)),
    ):
        picture = picture * (1 - shape) + colour * shape
    return picture


def landmarks(weights: Tensor) -> Tensor:
    """[B, 68, 2]: eyes and lips in their places, the rest round the face."""
    angles = torch.arange(68) / 68 * 2 * torch.pi
    points = torch.stack([0.5 + 0.3 * angles.cos(), 0.5 + 0.3 * angles.sin()], -1).repeat(len(weights), 1, 1)
    circle = torch.stack([angles.cos(), angles.sin()], -1)
    points[:, 36:42] = torch.tensor([0.38, 0.4]) + 0.03 * circle[:6]
    points[:, 42:48] = torch.tensor([0.62, 0.4]) + 0.03 * circle[:6]
    points[:, 48:68] = torch.tensor([0.5, 0.7]) + torch.tensor([0.14, 0.05]) * circle[::3][:20]
    points[..., 0] += _SHIFT * weights[:, SHIFT_X, None]
    return points


def motion(target: Tensor, source: Tensor) -> Motion:
    """From faces with weights `target` [B, 36] back to `source`."""
    flow = torch.zeros(len(target), 2, SIZE, SIZE)
    flow[:, 0] = (2 * _SHIFT * (source - target)[:, SHIFT_X])[:, None, None]
    ones = torch.ones(len(target), 1, SIZE, SIZE)
    return Motion(flow, ones, ones)


def random_weights(rng: Random, shape: tuple[int, ...]) -> Tensor:
    weights = np.zeros((*shape, CHANNELS), np.float32)
    weights[..., SHIFT_X] = rng.uniform(-1, 1, shape)
    weights[..., [JAW, BROWS]] = rng.uniform(0, 1, (*shape, 2))
    return torch.from_numpy(weights)


def _colours(rng: Random, count: int) -> Tensor:
    return torch.from_numpy(rng.uniform(-0.4, 0.6, (count, 3)).astype(np.float32))


class Cartoons:
    """Rendered-like clips, or with `truth` off filmed-like ones, which can also not swap."""

    size = SIZE
    consecutive = True

    def __init__(self, truth: bool = True) -> None:
        self.has_truth = truth

    def clips(self, rng: Random, count: int, length: int) -> ClipBatch:
        colours, source = _colours(rng, count), random_weights(rng, (count,))
        weights = random_weights(rng, (count, length))
        flat = weights.flatten(0, 1)
        moved = motion(flat, source.repeat_interleave(length, 0))
        shape = (count, length)
        return ClipBatch(
            source=draw(colours, source),
            frames=draw(colours.repeat_interleave(length, 0), flat).unflatten(0, shape),
            landmarks=landmarks(flat).unflatten(0, shape),
            identity=torch.arange(count),
            weights=weights if self.has_truth else None,
            source_weights=source if self.has_truth else None,
            motion=Motion(*(m.unflatten(0, shape) for m in (moved.flow, moved.visible, moved.trust)))
            if self.has_truth
            else None,
        )


class SwappingCartoons(Cartoons):
    """With exact swaps."""

    def factor_swaps(
        self, rng: Random, count: int, cross: float = 0.5, keep_expression: bool = False
    ) -> SwapBatch:
        colours, drivers = _colours(rng, count), _colours(rng, count)
        source, mouth, pose, expression = (random_weights(rng, (count,)) for _ in range(4))
        if keep_expression:
            expression = source
        target = mouth.clone()
        target[:, 20:26], target[:, 26:] = pose[:, 20:26], expression[:, 26:]
        return SwapBatch(
            source=draw(colours, source),
            mouth=draw(drivers, mouth),
            pose=draw(drivers, pose),
            expression=draw(drivers, expression),
            target=draw(colours, target),
            landmarks=landmarks(target),
            source_weights=source,
            weights=target,
            motion=motion(target, source),
        )


class SpeakingCartoons(Cartoons):
    """With sound: its loudness in each frame is how far the jaw is open, in a mel band of the speaker's own."""

    def __init__(self) -> None:
        super().__init__(truth=False)

    def spoken(self, rng: Random, count: int, length: int, reach: int = 0) -> SpokenBatch:
        whole = length + 2 * reach
        colours, source = _colours(rng, count), random_weights(rng, (count,))
        weights = random_weights(rng, (count, 1)).repeat(1, whole, 1)
        keys = torch.from_numpy(rng.uniform(0, 1, (count, 1, whole + 8)).astype(np.float32))
        weights[..., JAW] = torch.nn.functional.avg_pool1d(keys, 9, 1)[:, 0] * 4 - 1.5
        flat = weights[:, reach : reach + length].flatten(0, 1)
        voice = torch.full((count, whole, 80, 16), -4.0)
        voice[:, :, 10:40] = (weights[..., JAW] * 4 - 2)[..., None, None]
        shape = (count, length)
        return SpokenBatch(
            source=draw(colours, source),
            frames=draw(colours.repeat_interleave(length, 0), flat).unflatten(0, shape),
            landmarks=landmarks(flat).unflatten(0, shape),
            voice=voice.clamp(-4, 4),
            identity=torch.arange(count),
        )
