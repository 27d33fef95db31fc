"""The generator G (paper section 3.1): warps the source's feature maps, guided by the style latent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edtalk_server.networks.blocks import EqualConv2d, ModulatedConv2d, StyledConv, Upsample, leaky
from edtalk_server.networks.config import EDTalkConfig

Recorder = Callable[[str, Tensor], None]
"""Receives every intermediate tensor by name, for comparison with reference values."""

Enhance = Callable[[int, Tensor], Tensor]
"""Changes the source feature of a level (size in pixels) by the expression."""


def record_nothing(_name: str, _value: Tensor) -> None:
    """Serve as the recorder of ordinary runs."""


def keep_feature(_size: int, feature: Tensor) -> Tensor:
    """Return the feature unchanged: the enhancement of a network without expression bank."""
    return feature


def identity_grid(size: int, device: torch.device) -> Tensor:
    """Return sampling positions [1, size, size, 2] in the order x, y from -1 to 1. With `align_corners` off
    this is *not* the identity (it reaches half a pixel outwards at the borders); the networks were
    trained with it."""
    line = torch.linspace(-1.0, 1.0, size, device=device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)[None]


def sample(feature: Tensor, grid: Tensor) -> Tensor:
    """Return bilinear samples of `feature` [B, C, n, n] at `grid` [B, n, n, 2]; zero outside."""
    return F.grid_sample(feature, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class ToFlow(nn.Module):
    """Flow and mask of one level: logits [B, 3, n, n], added to those of the level before. In float32 under
    autocast, too: next to 1, bfloat16 numbers are half a pixel apart."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample()

    def forward(self, x: Tensor, style: Tensor, before: Tensor | None) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            logits = self.conv(x.float(), style.float()) + self.bias
            return logits if before is None else logits + self.upsample(before)


class ToRgb(nn.Module):
    """Picture of one level from the warped feature, added to that of the level before. Note the leaky ReLU
    on RGB."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = EqualConv2d(channels, 3, 1)
        self.inner_bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample()

    def forward(self, warped: Tensor, before: Tensor | None) -> Tensor:
        rgb = leaky(self.conv(warped) + self.inner_bias) + self.bias
        return rgb if before is None else rgb + self.upsample(before)


class Level(nn.Module):
    """All of the generator that works at one size."""

    def __init__(self, config: EDTalkConfig, size: int) -> None:
        super().__init__()
        before, channels = config.width(size // 2), config.width(size)
        self.up = StyledConv(before, channels, config.style_dim, up=True)
        self.conv = StyledConv(channels, channels, config.style_dim)
        self.to_flow = ToFlow(channels, config.style_dim)
        self.to_rgb = ToRgb(channels)


class Generator(nn.Module):
    """Style latent [B, style_dim] and source features -> picture [B, 3, size, size], not clamped."""

    def __init__(self, config: EDTalkConfig) -> None:
        super().__init__()
        self.sizes = config.levels
        self.constant = nn.Parameter(torch.randn(1, config.width(4), 4, 4))
        self.start = StyledConv(config.width(4), config.width(4), config.style_dim)
        self.levels = nn.ModuleList(Level(config, size) for size in self.sizes)

    def forward(
        self,
        style: Tensor,
        features: Mapping[int, Tensor],
        enhance: Enhance = keep_feature,
        record: Recorder = record_nothing,
    ) -> Tensor:
        x = self.start(self.constant.expand(style.shape[0], -1, -1, -1), style)
        record("styled_4", x)
        logits: Tensor | None = None
        rgb: Tensor | None = None
        for size, level in self.by_size():
            x = level.up(x, style)
            record(f"styled_up_{size}", x)
            x = level.conv(x, style)
            record(f"styled_{size}", x)
            feature = enhance(size, features[size])
            record(f"eem_{size}", feature)
            logits = level.to_flow(x, style, logits)
            record(f"flowlogit_{size}", logits)
            grid = torch.tanh(logits[:, :2].permute(0, 2, 3, 1)) + identity_grid(size, x.device)
            mask = torch.sigmoid(logits[:, 2:])
            warped = sample(feature, grid) * mask
            x = warped + x * (1.0 - mask)
            rgb = level.to_rgb(warped, rgb)
            record(f"grid_{size}", grid.permute(0, 3, 1, 2))
            record(f"mask_{size}", mask)
            record(f"warp_{size}", warped)
            record(f"blend_{size}", x)
            record(f"rgb_{size}", rgb)
        if rgb is None:
            raise ValueError("a generator needs at least one level")
        return rgb

    def by_size(self) -> Iterator[tuple[int, Level]]:
        """Yield the levels with their sizes in pixels, smallest first."""
        for size, level in zip(self.sizes, self.levels, strict=True):
            yield size, cast(Level, level)
