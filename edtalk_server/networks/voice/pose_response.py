"""What a voice makes a head do on average: the part of its movements that the voice decides.

A nod belongs to one syllable, within a few frames. The hops of the flow's lapped transform say where in 0.64 seconds
something happens only by the signs of sixteen waves, and the steps of a flow learn that slowly. A convolution over
frames does the same at every frame, and learns it in minutes; the flow then has what is left to chance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DILATIONS = (1, 2, 4, 8)
KERNEL = 5
REACH = KERNEL // 2 * (1 + sum(DILATIONS))
"""Frames each way on which a frame depends: 1.28 seconds."""


class PoseResponse(nn.Module):
    """Rows of a voice and emotions [B, T, inputs] and a style [B, style] -> the expected movement [B, T, outputs].

    Dilated convolutions over frames with shortcuts; the output begins at zero.
    """

    def __init__(self, inputs: int, style: int, outputs: int, width: int) -> None:
        super().__init__()
        self.input = nn.Conv1d(inputs, width, KERNEL, padding=KERNEL // 2)
        self.style = nn.Linear(style, width, bias=False) if style else None
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2 * step, dilation=step) for step in DILATIONS
        )
        self.output = nn.Conv1d(width, outputs, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def forward(self, rows: Tensor, style: Tensor) -> Tensor:
        x = self.input(rows.transpose(1, 2))
        if self.style is not None:
            x = x + self.style(style)[:, :, None]
        for layer in self.layers:
            x = x + layer(F.gelu(x))
        return torch.as_tensor(self.output(F.gelu(x)).transpose(1, 2))
