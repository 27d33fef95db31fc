"""The parts of the compact network: convolutions, modulation, warping. Maps are [B, C, n, n], styles [B, latent].

Flows are backward (where to look in the source), in units in which the picture spans -1..1: channel 0 points right,
channel 1 down. They, and all sampling, stay in float32 under any autocast: a hundredth of a pixel matters.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_SCALE = 0.01
"""Standard deviation of the heads' first weights: nearly no output, so that training starts from the unmoved
picture."""


def activate(x: Tensor) -> Tensor:
    """Apply leaky ReLU of slope 0.2, as everywhere in the EDTalk family."""
    return F.leaky_relu(x, 0.2)


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a zero-padded convolution that keeps the variance of leaky-ReLU activations."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    nn.init.kaiming_normal_(layer.weight, 0.2)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def head(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution that starts close to zero."""
    layer = convolution(inputs, outputs)
    nn.init.normal_(layer.weight, 0.0, HEAD_SCALE)
    return layer


def enlarge(x: Tensor, factor: int = 2) -> Tensor:
    """Enlarge maps [B, C, n, n] bilinearly."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def shrink(images: Tensor, size: int) -> Tensor:
    """Average [B, C, n, n] down to `size` pixels; n must be a multiple of it. Raises `ValueError` otherwise."""
    factor = images.shape[-1] // size
    if factor * size != images.shape[-1]:
        raise ValueError(f"{images.shape[-1]} pixels cannot be averaged to {size}")
    return F.avg_pool2d(images, factor) if factor > 1 else images


def identity_grid(size: int, device: torch.device) -> Tensor:
    """Return the sampling positions of a picture without motion: [1, size, size, 2], x then y."""
    line = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Sample `images` [B or 1, C, n, n] through `flow` [B, 2, n, n]; the border pixel continues outside. A single image
    serves all flows."""
    grid = identity_grid(flow.shape[-1], flow.device) + flow.float().permute(0, 2, 3, 1)
    source = images.float().expand(flow.shape[0], -1, -1, -1)
    with torch.autocast(flow.device.type, enabled=False):
        out = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return out.to(images.dtype)


def widened(maps: Tensor, reach: int) -> Tensor:
    """Return the largest value within `reach` pixels of each pixel of maps [B, C, rows, columns]."""
    across = F.max_pool2d(maps, (1, 2 * reach + 1), 1, (0, reach))
    return F.max_pool2d(across, (2 * reach + 1, 1), 1, (reach, 0))


def closed(maps: Tensor, reach: int) -> Tensor:
    """Return maps [B, C, rows, columns] without the notches and holes that are narrower than twice `reach` pixels."""
    return -widened(-widened(maps, reach), reach)


def softened(maps: Tensor) -> Tensor:
    """Average each pixel of maps [B, C, rows, columns] with its neighbours, 1 to 2 to 1 in both directions: patterns of
    every second pixel vanish."""
    around = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    across = around[..., :-2] + 2 * around[..., 1:-1] + around[..., 2:]
    return (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 16


class ResidualDown(nn.Module):
    """Two convolutions beside a skip, halving the size: [B, inputs, n, n] -> [B, outputs, n/2, n/2]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = convolution(inputs, inputs)
        self.second = convolution(inputs, outputs, stride=2)
        self.skip = convolution(inputs, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        y = activate(self.second(activate(self.first(x))))
        return (y + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)


class ModulatedConv(nn.Module):
    """StyleGAN2's modulated and demodulated 3x3 convolution, written as scale in, convolve, scale out.

    The same function as scaling the kernel of each sample, but with one shared kernel: no grouped convolution, which is
    several times slower on a CPU.
    """

    def __init__(self, inputs: int, outputs: int, latent: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / math.sqrt(inputs * 9))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.style = nn.Linear(latent, inputs)
        nn.init.normal_(self.style.weight, 0.0, 0.3 / math.sqrt(latent))
        nn.init.ones_(self.style.bias)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        style = self.style(latent)
        y = F.conv2d(x * style[:, :, None, None].to(x.dtype), self.weight, None, 1, 1)
        power = (style * style) @ (self.weight * self.weight).sum((2, 3)).t()
        scale = math.sqrt(2) * torch.rsqrt(power + 1e-6)
        return y * scale[:, :, None, None].to(y.dtype) + self.bias[None, :, None, None].to(y.dtype)


class ConvNormRelu(nn.Sequential):
    """Convolution, batch norm, ReLU: the layer that small estimators learn fastest with."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 2) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )
