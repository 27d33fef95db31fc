"""The encoder E and its motion heads (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from edtalk_server.networks.blocks import ConvLayer, EqualConv2d, EqualLinear, ResBlock
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.interface import Encoding

SHARED_LAYERS = 4
"""Linear layers before the heads part."""
HEAD_LAYERS = 3


class Encoder(nn.Module):
    """Images [B, 3, size, size] -> latent [B, style_dim] and the feature maps of 8, 16, ..., size pixels."""

    def __init__(self, config: EDTalkConfig) -> None:
        super().__init__()
        sizes = [config.size >> i for i in range(config.size.bit_length() - 2)]  # size, ..., 8, 4
        self.sizes = sizes
        self.stem = ConvLayer(3, config.width(config.size), 1)
        self.blocks = nn.ModuleList(
            ResBlock(config.width(size), config.width(size // 2)) for size in sizes[:-1]
        )
        self.to_latent = EqualConv2d(config.width(4), config.style_dim, 4)

    def forward(self, images: Tensor) -> Encoding:
        x = self.stem(images)
        features = {}
        for size, block in zip(self.sizes, self.blocks, strict=False):
            features[size] = x
            x = block(x)
        return Encoding(self.to_latent(x).flatten(1), features)


class Heads(nn.Module):
    """Latent [B, style_dim] -> weights [B, channels] in the order mouth, pose, expression.

    Shared layers, then one head for each bank; no activation anywhere, so it is one affine map (`folded`).
    """

    def __init__(self, config: EDTalkConfig) -> None:
        super().__init__()
        dim = config.style_dim
        self.shared = nn.Sequential(*(EqualLinear(dim, dim) for _ in range(SHARED_LAYERS)))
        self.banks = nn.ModuleList(
            nn.Sequential(*(EqualLinear(dim, dim) for _ in range(HEAD_LAYERS - 1)), EqualLinear(dim, size))
            for size in config.bank_sizes
            if size
        )

    def forward(self, latent: Tensor) -> Tensor:
        shared = self.shared(latent)
        return torch.cat([head(shared) for head in self.banks], dim=1)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return the same map as `weights = latent @ matrix + offset`: matrix [style_dim, channels], offset
        [channels].

        Computed in float64, because eight products one after another would each be rounded.
        """
        heads = [_affine([*self.shared, *cast(nn.Sequential, head)]) for head in self.banks]
        matrix = torch.cat([matrix for matrix, _ in heads], dim=1)
        offset = torch.cat([offset for _, offset in heads])
        return matrix.to(torch.float32), offset.to(torch.float32)


def _affine(layers: Sequence[nn.Module]) -> tuple[Tensor, Tensor]:
    """Return matrix and offset (float64, CPU) of equalised linear layers one after another."""
    first, *others = (cast(EqualLinear, layer) for layer in layers)
    matrix, offset = _as_double(first)
    for layer in others:
        weight, bias = _as_double(layer)
        matrix, offset = matrix @ weight, offset @ weight + bias
    return matrix, offset


def _as_double(layer: EqualLinear) -> tuple[Tensor, Tensor]:
    weight = layer.weight.detach().to("cpu", torch.float64).T * layer.scale
    return weight, layer.bias.detach().to("cpu", torch.float64)
