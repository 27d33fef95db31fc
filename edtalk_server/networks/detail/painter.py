"""Painters: small networks that look at the box of a mouth or an eye in the source and in the drawn frame, and say of
every pixel what it shows."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.networks.compact_blocks import activate, convolution, enlarge, head

_FLOW_SCALE = 0.3
_QUIET = 1.5
"""Logit by which the drawn frame is preferred before anything was learned."""


class Tone(NamedTuple):
    """The colours of a box, taken out before a network sees it: `mean` [B, 3, 1, 1], `spread` [B, 1, 1, 1]."""

    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, box: Tensor) -> Tone:
        """Measure boxes [B, 3, rows, columns]."""
        mean = box.mean((2, 3), keepdim=True)
        return cls(mean, (box - mean).square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(0.03))

    def take(self, box: Tensor) -> Tensor:
        """Return the box without its tone."""
        return (box - self.mean) / self.spread


class Painted(NamedTuple):
    """What a painter says of B boxes: shares [B, 3, rows, columns] of the drawn frame, the moved source and the colour,
    which sum to 1; `flow` [B, 2, rows, columns] in box units; `colour` [B, 3, rows, columns]."""

    shares: Tensor
    flow: Tensor
    colour: Tensor

    def compose(self, source: Tensor, drawn: Tensor) -> Tensor:
        """Return the painted box, [B, 3, rows, columns]."""
        moved = warp_box(source, self.flow)
        return self.shares[:, :1] * drawn + self.shares[:, 1:2] * moved + self.shares[:, 2:] * self.colour

    def over(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is laid over the drawn frame: how much of it is hidden, and the colours, multiplied by that."""
        moved = warp_box(source, self.flow)
        return 1 - self.shares[:, :1], self.shares[:, 1:2] * moved + self.shares[:, 2:] * self.colour

    def finer(self, base: Tensor, fine_base: Tensor) -> Painted:
        """Return the same in the size of `fine_base`. The colour was painted over `base`: what it adds to that is
        enlarged and added to the fine one, so that edges stay as sharp as these."""
        shares, flow, added = (
            F.interpolate(maps, fine_base.shape[2:], mode="bilinear", align_corners=False)
            for maps in (self.shares, self.flow, self.colour - base)
        )
        return Painted(shares, flow, fine_base + added)

    def with_inside(self, inside: Tensor) -> Painted:
        """Return the same with another share of the colour [B, 1, rows, columns]."""
        moved = self.shares[:, 1:2] * (1 - inside)
        return self._replace(shares=torch.cat([1 - moved - inside, moved, inside], 1))


def warp_box(box: Tensor, flow: Tensor) -> Tensor:
    """Sample boxes through a backward flow [B, 2, rows, columns] in units of which a box has 2 either way."""
    rows, columns = flow.shape[2:]
    x = (torch.arange(columns, device=flow.device) + 0.5) / columns * 2 - 1
    y = (torch.arange(rows, device=flow.device) + 0.5) / rows * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None] + flow.float().permute(0, 2, 3, 1)
    return F.grid_sample(box.float(), grid, padding_mode="border", align_corners=False)


def laid(drawn: Tensor, guide: Tensor) -> Tensor:
    """Return drawn boxes with the guide's teeth laid over them, [B, 3, rows, columns]."""
    return drawn + guide[:, 3:].amax(1, keepdim=True) * (guide[:, :3] - drawn)


class Styled(nn.Module):
    """A 3x3 convolution whose outputs are scaled and shifted by a style."""

    def __init__(self, inputs: int, outputs: int, style: int, stride: int = 1) -> None:
        super().__init__()
        self.maps = convolution(inputs, outputs, stride=stride)
        self.style = nn.Linear(style, 2 * outputs)
        nn.init.normal_(self.style.weight, 0.0, 0.3 / style**0.5)
        nn.init.zeros_(self.style.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.style(style)[:, :, None, None].chunk(2, 1)
        return activate(self.maps(x) * (1 + scale) + shift)


class Painter(nn.Module):
    """Boxes of source and drawn frame (and guides) and weights -> what every pixel shows. Works on halves of a box."""

    def __init__(self, inputs: int, channels: tuple[int, int, int], weights: int, style: int) -> None:
        super().__init__()
        half, quarter, eighth = channels
        self.style = nn.Sequential(
            nn.Linear(2 * weights, style), nn.LeakyReLU(0.2), nn.Linear(style, style), nn.LeakyReLU(0.2)
        )
        self.stem = Styled(4 * inputs, half, style)
        self.down = Styled(half, quarter, style, stride=2)
        self.look = Styled(quarter, quarter, style)
        self.deep = Styled(quarter, eighth, style, stride=2)
        self.think = Styled(eighth, eighth, style)
        self.up = Styled(eighth, quarter, style)
        self.blend = Styled(quarter, quarter, style)
        self.rise = Styled(quarter, half, style)
        self.finish = Styled(half, half, style)
        self.say = head(half, 4 * 8)

    def forward(self, source: Tensor, drawn: Tensor, guide: Tensor | None, weights: Tensor) -> Painted:
        """Paint boxes [B, 3, rows, columns]. `weights` [B, 2 * weights]: the source's own, and their change."""
        tone = Tone.of(drawn)
        inputs, base = [tone.take(source), tone.take(drawn)], drawn
        if guide is not None:
            cover = guide[:, 3:].amax(1, keepdim=True)
            inputs += [tone.take(guide[:, :3]) * cover, guide[:, 3:]]
            base = laid(drawn, guide)
        style = self.style(weights)
        fine = self.stem(F.pixel_unshuffle(torch.cat(inputs, 1), 2), style)
        middle = self.look(self.down(fine, style), style)
        x = self.think(self.deep(middle, style), style)
        x = self.blend(enlarge(self.up(x, style)) + middle, style)
        x = self.finish(enlarge(self.rise(x, style)) + fine, style)
        output = F.pixel_shuffle(self.say(x).float(), 2)
        quiet = output.new_tensor([_QUIET, 0.0, 0.0])[:, None, None]
        colour = base + tone.spread * output[:, 5:]
        return Painted((output[:, :3] + quiet).softmax(1), output[:, 3:5] * _FLOW_SCALE, colour)
