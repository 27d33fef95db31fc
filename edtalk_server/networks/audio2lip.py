"""Audio2Lip (paper section 3.3, after Prajwal et al. 2020): a mel window to the weights of the mouth bank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edtalk_server.networks.config import Audio2LipConfig
from edtalk_server.networks.generator import Recorder, record_nothing

MEL_BANDS = 80
MEL_FRAMES = 16


class ConvBlock(nn.Module):
    """Convolution, batch norm, the input added where `residual`, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            y = self.norm(self.conv(x))
            return torch.relu(y + x if self.residual else y)
        y = self._folded(x)  # changed in its place: moving the numbers takes as long as summing them
        if self.residual:
            y.add_(x)
        return y.relu_()

    def _folded(self, x: Tensor) -> Tensor:
        """Return what convolution and norm give in evaluation mode, by one convolution: a third less work."""
        conv, norm = self.conv, self.norm
        scale = norm.weight / torch.sqrt(cast(Tensor, norm.running_var) + norm.eps)
        weight = (conv.weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        bias = (cast(Tensor, conv.bias) - cast(Tensor, norm.running_mean)) * scale + norm.bias
        return F.conv2d(x, weight, bias, conv.stride, cast("tuple[int, int]", conv.padding))


class Audio2Lip(nn.Module):
    """Mel windows [N, 1, 80, 16] (bands, frames; values in [-4, 4]) -> mouth weights [N, outputs].

    Window i belongs to video frame i at 25 fps (`media.audio.mel.windows`). Use it in evaluation mode.
    """

    def __init__(self, config: Audio2LipConfig | None = None) -> None:
        super().__init__()
        self.config = config or Audio2LipConfig()
        self.encoder = audio_encoder(self.config.widths)
        self.mapping = nn.Linear(self.config.widths[-1], self.config.outputs)

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Audio2Lip:
        """Return the untrained network of a bundle's config; raises `ValueError` that names a wrong field."""
        return cls(Audio2LipConfig.from_dict(values))

    def forward(self, windows: Tensor, record: Recorder = record_nothing) -> Tensor:
        x = windows.contiguous(memory_format=torch.channels_last)
        for i, block in enumerate(self.encoder):
            x = block(x)
            record(f"enc_{i}", x)
        return self.mapping(x.flatten(1))  # type: ignore[no-any-return]


def _residuals(channels: int, count: int) -> list[ConvBlock]:
    return [ConvBlock(channels, channels, residual=True) for _ in range(count)]


def audio_encoder(widths: tuple[int, ...]) -> nn.Sequential:
    """Return the untrained encoder: mel windows [N, 1, 80, 16] -> features [N, widths[-1], 1, 1]."""
    a, b, c, d, e = widths
    return nn.Sequential(
        ConvBlock(1, a),
        *_residuals(a, 2),
        ConvBlock(a, b, stride=(3, 1)),
        *_residuals(b, 2),
        ConvBlock(b, c, stride=3),
        *_residuals(c, 2),
        ConvBlock(c, d, stride=(3, 2)),
        *_residuals(d, 1),
        ConvBlock(d, e, padding=0),
        ConvBlock(e, e, kernel=1, padding=0),
    )
