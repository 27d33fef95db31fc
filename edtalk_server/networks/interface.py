"""The face of every face network: engine, trainer and evaluator know no particular one."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Encoding(NamedTuple):
    """The encoder's result: `latent` [B, style_dim], and the feature maps by size in pixels, `features[n]`
    [B, C_n, n, n]."""

    latent: Tensor
    features: dict[int, Tensor]


class FaceNetwork(Protocol):
    """Source picture + weights -> picture. All pictures are [B, 3, size, size], RGB in [-1, 1]; weights are
    [B, channels] in the bank order mouth, pose, expression."""

    size: int
    bank_sizes: tuple[int, int, int]

    def encode(self, images: Tensor) -> Encoding:
        """Encode source pictures; a portrait needs it once."""

    def weights_of(self, images: Tensor) -> Tensor:
        """Estimate the weights of the faces in `images` (paper section 3.1: the encoder's motion heads)."""

    def prepare(self, images: Tensor) -> Any:
        """Compute everything that depends on one source alone (B = 1), for `decode`. Runs `encode` once. The result
        has `weights` [1, channels], the source's own."""

    def decode(self, prepared: Any, weights: Tensor) -> Tensor:
        """Return frames [B, 3, size, size] of one prepared source under B rows of weights; not clamped."""


def check_source(images: Tensor, size: int) -> None:
    """Raise `ValueError` unless `images` is one picture [1, 3, size, size]."""
    if images.shape != (1, 3, size, size):
        raise ValueError(f"expected one picture of {size} pixels, not {tuple(images.shape)}")
