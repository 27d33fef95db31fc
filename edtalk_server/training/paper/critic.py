"""The discriminator of the adversarial loss: scores patches at several picture sizes."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.networks.blocks import ConvLayer, EqualConv2d
from edtalk_server.training.paper.config import Critic

_MOST_CHANNELS = 512
"""Widest layer."""


class PatchCritic(nn.Module):
    """Maps pictures [B, 3, S, S] to scores [B, 1, n, n]: positive where a patch looks true."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        widths = [min(_MOST_CHANNELS, width << level) for level in range(depth + 1)]
        self.stem = ConvLayer(3, widths[0], 1)
        self.body = nn.Sequential(*(ConvLayer(a, b, 3, down=True) for a, b in pairwise(widths)))
        self.score = EqualConv2d(widths[-1], 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.score(self.body(self.stem(pictures)))  # type: ignore[no-any-return]


class MultiScaleCritic(nn.Module):
    """A `PatchCritic` for the full picture, one for half its size, and so on (Wang et al. 2018, pix2pixHD)."""

    def __init__(self, config: Critic) -> None:
        super().__init__()
        self.critics = nn.ModuleList(PatchCritic(config.width, config.depth) for _ in range(config.scales))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        scores = []
        for critic in self.critics:
            scores.append(critic(pictures))
            pictures = F.avg_pool2d(pictures, 2)
        return scores
