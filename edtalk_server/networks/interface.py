"""What every face network offers, so that the engine, the trainer and the evaluator need to know no particular one."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Encoding(NamedTuple):
    """What the encoder finds in images: `latent` [B, style_dim] and the feature maps by their size in pixels,
    `features[n]` [B, C_n, n, n]."""

    latent: Tensor
    features: dict[int, Tensor]


class FaceNetwork(Protocol):
    """Source image + weights -> image. All images are [B, 3, size, size], RGB in [-1, 1]; weights are [B, channels] in
    the bank order mouth, pose, expression."""

    size: int
    bank_sizes: tuple[int, int, int]

    def encode(self, images: Tensor) -> Encoding:
        """The source encoder; run once for a portrait."""

    def weights_of(self, images: Tensor) -> Tensor:
        """The weights of the faces in `images` (paper section 3.2: the encoder's motion heads)."""

    def prepare(self, images: Tensor) -> Any:
        """All that depends on the source alone, ready for `decode`: B must be 1. Runs `encode` once. The result has
        `weights` [1, channels], the source's own."""

    def decode(self, prepared: Any, weights: Tensor) -> Tensor:
        """Frames [B, 3, size, size] of one prepared source under B rows of weights. Not clamped."""
