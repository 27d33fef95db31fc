"""What rendered truth adds to the paper's losses: dense flow for the warps, visibility for the masks, and linear probes
that predict the true weights from the latents. Means over samples, like `losses`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.networks.generator import identity_grid
from edtalk_server.training.datasets.interface import Motion
from edtalk_server.training.paper.model import DrawnLevel, MotionLatents

_EPSILON = 1e-6
"""Keeps divisions and logarithms finite."""


def true_grid(motion: Motion, size: int) -> tuple[Tensor, Tensor]:
    """Return where `grid_sample` must look in the source, [B, 2, size, size], and how much each spot counts,
    [B, 1, size, size]."""
    trust = F.adaptive_avg_pool2d(motion.trust, size)
    flow = F.adaptive_avg_pool2d(motion.flow * motion.trust, size) / (trust + _EPSILON)
    line = (torch.arange(size, device=flow.device) * 2 + 1) / size - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y]) + flow, trust


class FlowLoss:
    """Mean absolute error of each level's sampling positions, weighted by trust and averaged over levels.

    A level's offsets are tanh of logits; the truth is clamped to the 1 that they can reach.
    """

    def __call__(self, levels: list[DrawnLevel], motion: Motion) -> Tensor:
        return torch.stack([self._level(level, motion) for level in levels]).mean()

    def _level(self, level: DrawnLevel, motion: Motion) -> Tensor:
        size = min(level.grid.shape[-1], motion.flow.shape[-1])
        grid = F.adaptive_avg_pool2d(level.grid, size)
        true, trust = true_grid(motion, size)
        middle = F.adaptive_avg_pool2d(
            identity_grid(level.grid.shape[-1], grid.device).permute(0, 3, 1, 2), size
        )
        true = torch.maximum(torch.minimum(true, middle + 1), middle - 1)
        error = ((grid - true).abs().sum(1, keepdim=True) * trust).sum((1, 2, 3))
        return (error / (trust.sum((1, 2, 3)) + _EPSILON)).mean()


class MaskLoss:
    """Cross-entropy of each level's mask with visibility: keep what the source shows, draw what it hides."""

    def __call__(self, levels: list[DrawnLevel], motion: Motion) -> Tensor:
        return torch.stack([self._level(level, motion) for level in levels]).mean()

    def _level(self, level: DrawnLevel, motion: Motion) -> Tensor:
        size = min(level.mask.shape[-1], motion.visible.shape[-1])
        mask = F.adaptive_avg_pool2d(level.mask, size).clamp(_EPSILON, 1 - _EPSILON)
        visible = F.adaptive_avg_pool2d(motion.visible, size)
        return -(visible * mask.log() + (1 - visible) * (1 - mask).log()).mean()


class LinearProbes(nn.Module):
    """A linear map from each bank's latent to its true weights: what a linear map can predict can be named and edited.

    `sizes` are the numbers of true weights of mouth, pose and expression.
    """

    def __init__(self, style_dim: int, sizes: tuple[int, int, int]) -> None:
        super().__init__()
        self.sizes = sizes
        self.maps = nn.ModuleList(nn.Linear(style_dim, size) for size in sizes)

    def forward(self, latents: MotionLatents) -> list[Tensor]:
        """Return the predicted weights of each bank, [B, size] each."""
        return [probe(latent) for probe, latent in zip(self.maps, latents, strict=True)]

    def loss(self, latents: MotionLatents, weights: Tensor, banks: tuple[int, ...]) -> Tensor:
        """Return the mean squared error of the chosen `banks` (0 mouth, 1 pose, 2 expression) against the true
        `weights` [B, 36]."""
        true, predicted = weights.split(self.sizes, dim=1), self(latents)
        return torch.stack([F.mse_loss(predicted[bank], true[bank]) for bank in banks]).sum()
