"""The network that the stages train: the paper's, with the parts that an ablation takes away."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edtalk_server.networks.blocks import EqualLinear
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.enhancement import Enhancement
from edtalk_server.networks.generator import Enhance, keep_feature
from edtalk_server.networks.interface import Encoding
from edtalk_server.training.paper.config import Ablation

QUIET = 0.1
"""Share of its usual initial weights that a new part begins with."""


class MotionLatents(NamedTuple):
    """The output of the three navigation modules for B faces: a latent of each bank, [B, style_dim] (paper section 3.1,
    f^{r->m}, f^{r->p}, f^{r->e})."""

    mouth: Tensor
    pose: Tensor
    expression: Tensor

    def split(self, count: int) -> list[MotionLatents]:
        """Return the latents of `count` faces at a time."""
        return [
            MotionLatents(*parts) for parts in zip(*(latent.split(count) for latent in self), strict=True)
        ]


def first_rows(encoding: Encoding, count: int) -> Encoding:
    """Return the first `count` pictures of an encoded batch."""
    return Encoding(encoding.latent[:count], {size: f[:count] for size, f in encoding.features.items()})


class DrawnLevel(NamedTuple):
    """The generator's output at n pixels: sampling positions [B, 2, n, n] (x, y in the units of `grid_sample`), and the
    mask [B, 1, n, n]."""

    grid: Tensor
    mask: Tensor


class Drawing(NamedTuple):
    """Pictures [B, 3, S, S], not clamped, and the levels that they were made from, coarse to fine."""

    picture: Tensor
    levels: list[DrawnLevel]


class PaperModel(nn.Module):
    """Encoder, heads, banks, generator, enhancement. Without banks each head ends in a style latent."""

    def __init__(self, config: EDTalkConfig, ablation: Ablation | None = None, bf16: bool = False) -> None:
        super().__init__()
        self.ablation = ablation or Ablation()
        self.bf16 = bf16
        self.network = EDTalk(config)
        self.sizes = [size for size in config.bank_sizes if size]
        if not self.ablation.bank:
            self.sizes = [config.style_dim] * len(self.sizes)
            for index in range(len(self.sizes)):
                self._head(index)[-1] = EqualLinear(config.style_dim, config.style_dim)

    def _head(self, bank: int) -> nn.Sequential:
        return cast(nn.Sequential, self.network.heads.banks[bank])

    def last_layer(self, bank: int) -> EqualLinear:
        """Return the last layer of a bank's head."""
        return cast(EqualLinear, self._head(bank)[-1])

    def basis(self) -> Tensor | None:
        """Return Q [style_dim, channels], float32; None without banks."""
        if not self.ablation.bank:
            return None
        if self.ablation.orthogonal:
            return self.network.banks.orthonormal()
        return F.normalize(self.network.banks.directions, dim=0)

    def encode(self, images: Tensor) -> Encoding:
        """Return latents (float32) and features of pictures [B, 3, S, S]."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            latent, features = self.network.encode(images)
        return Encoding(latent.float(), features)

    def estimate(self, latents: Tensor) -> MotionLatents:
        """Return the motion of encoded faces [B, style_dim]; expression is zero for a network without that bank."""
        values = self.network.heads(latents).split(self.sizes, dim=1)
        basis = self.basis()
        if basis is not None:
            banks = basis.split(self.sizes, dim=1)
            values = [a @ bank.T for a, bank in zip(values, banks, strict=True)]
        return MotionLatents(
            values[0], values[1], values[2] if len(values) > 2 else torch.zeros_like(values[0])
        )

    def draw(self, source: Encoding, motion: Tensor, expression: Tensor | None = None) -> Drawing:
        """Return G(h_s + motion) (Eq. 1), with the source's features enhanced by `expression` (section 3.2) where it is
        given; both are [B, style_dim]."""
        levels: dict[str, dict[str, Tensor]] = {"grid": {}, "mask": {}}

        def record(name: str, value: Tensor) -> None:
            kind, _, size = name.partition("_")
            if kind in levels:
                levels[kind][size] = value.float()

        with torch.autocast(motion.device.type, torch.bfloat16, enabled=self.bf16):
            picture = self.network.generator(
                source.latent + motion, source.features, self._enhance(expression), record
            )
        drawn_levels = [DrawnLevel(levels["grid"][size], levels["mask"][size]) for size in levels["grid"]]
        return Drawing(picture.float(), drawn_levels)

    def _enhance(self, expression: Tensor | None) -> Enhance:
        blocks = self.network.enhancement
        if expression is None or not self.ablation.enhancement or not blocks:
            return keep_feature
        return lambda size, feature: blocks[str(size)](feature, expression)

    # --- how stages begin ---

    @torch.no_grad()
    def renew_banks(self) -> None:
        """Initialise all directions and the heads' last layers again, as the release does when it starts from LIA's one
        bank."""
        nn.init.normal_(self.network.banks.directions)
        for index in range(len(self.sizes)):
            nn.init.normal_(self.last_layer(index).weight)
            nn.init.zeros_(self.last_layer(index).bias)

    @torch.no_grad()
    def quiet_expression(self) -> None:
        """Let expression head and enhancement begin with almost no effect, so that the expression stage starts with the
        pictures that the stage before it ended with."""
        self.last_layer(2).weight.mul_(QUIET)
        self.last_layer(2).bias.zero_()
        for block in self.network.enhancement.values():
            silence(cast(Enhancement, block), QUIET)


@torch.no_grad()
def silence(block: Enhancement, left: float) -> None:
    """Scale the effect of an enhancement to `left`; 0 makes it return the feature unchanged: its factor 1 + gamma is
    0."""
    for layer, bias in ((block.gamma, -1.0), (block.beta, 0.0)):
        layer.weight.mul_(left)
        layer.bias.fill_(bias)
