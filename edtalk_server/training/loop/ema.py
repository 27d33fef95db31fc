"""The exponential moving average of a network's parameters, which draws steadier pictures than the last step's."""

from __future__ import annotations

import copy

import torch
from torch import nn


class EMA:
    """A frozen copy of a network that follows it. `decay` is how much of the copy stays at each update."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, number: int) -> None:
        """Take update `number` (from 1 on) towards `network`. The first ones are larger, so that the initial parameters
        are soon forgotten; buffers are copied."""
        decay = min(self.decay, (number + 1) / (number + 10))
        for own, other in zip(self.network.parameters(), network.parameters(), strict=True):
            own.lerp_(other, 1 - decay)
        for buffer, other_buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            buffer.copy_(other_buffer)
