"""Building blocks shared by encoder and generator: equalised layers, the FIR filter, the modulated
convolution.

They follow StyleGAN2 (Karras et al. 2020) as LIA and EDTalk use it. `leaky` is the fused leaky ReLU without
its bias: slope 0.2, times sqrt(2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
GAIN = math.sqrt(2.0)
DEMODULATION_EPSILON = 1e-8


def leaky(x: Tensor) -> Tensor:
    """Apply leaky ReLU with slope 0.2, times sqrt(2)."""
    return F.leaky_relu(x, SLOPE) * GAIN


def fir_kernel() -> Tensor:
    """Return the 4x4 binomial low-pass filter, sum 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / 64.0


class Fir(nn.Module):
    """The FIR filter on each channel with zero padding `padding` on all sides: [B, C, H, W] -> H + 2
    padding - 3."""

    kernel: Tensor

    def __init__(self, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("kernel", fir_kernel() * gain, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        return F.conv2d(x, kernel, padding=self.padding, groups=channels)


class Upsample(nn.Module):
    """Twice the size by zero-stuffing and the FIR filter (gain 4): a depthwise transposed convolution."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", fir_kernel() * 4.0, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)


class EqualLinear(nn.Module):
    """Linear layer whose weight is scaled by 1 / sqrt(inputs) when it is used."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.scale = 1.0 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class EqualConv2d(nn.Module):
    """Convolution without bias whose weight is scaled by 1 / sqrt(inputs * k * k) when it is used."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class ConvLayer(nn.Module):
    """Equalised convolution, bias and leaky ReLU; `down` halves the size (FIR filter, then stride 2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, down: bool = False) -> None:
        super().__init__()
        self.fir = Fir(padding=2) if down else None
        self.conv = EqualConv2d(
            inputs, outputs, kernel, stride=2 if down else 1, padding=0 if down else kernel // 2
        )
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.fir is not None:
            x = self.fir(x)
        return leaky(self.conv(x) + self.bias)


class ResBlock(nn.Module):
    """[B, C, H, W] -> [B, C', H/2, W/2]: two 3x3 layers and a 1x1 skip, summed and divided by sqrt(2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(inputs, inputs, 3)
        self.conv2 = ConvLayer(inputs, outputs, 3, down=True)
        self.skip_fir = Fir(padding=1)
        self.skip = EqualConv2d(inputs, outputs, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + self.skip(self.skip_fir(x))) / GAIN


class ModulatedConv2d(nn.Module):
    """Convolution whose weight each sample scales by its style (StyleGAN2, section 2.2).

    `forward(x [B, I, H, W], style [B, style_dim])` is the defining form: one weight for each sample, run as
    a grouped convolution. With `up` the result has twice the size. `fast` computes the same without grouped
    weights.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style_dim: int,
        up: bool = False,
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.modulation = EqualLinear(style_dim, inputs, bias=1.0)
        self.scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.padding = kernel // 2
        self.demodulate = demodulate
        self.fir = Fir(padding=1, gain=4.0) if up else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        batch, inputs, height, width = x.shape
        weight = self._weights(self.modulation(style))  # [B, O, I, k, k]
        x = x.reshape(1, batch * inputs, height, width)
        if self.fir is None:
            y = F.conv2d(x, weight.flatten(0, 1), padding=self.padding, groups=batch)
            return y.unflatten(1, (batch, -1)).squeeze(0)
        y = F.conv_transpose2d(x, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=batch)
        return self.fir(y.unflatten(1, (batch, -1)).squeeze(0))

    def _weights(self, scales: Tensor) -> Tensor:
        weight = self.weight * self.scale * scales[:, None, :, None, None]
        if self.demodulate:
            energy = weight.square().sum(dim=(2, 3, 4), keepdim=True)
            weight = weight * torch.rsqrt(energy + DEMODULATION_EPSILON)
        return weight


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, bias, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style_dim, up=up)
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return leaky(self.conv(x, style) + self.bias)
