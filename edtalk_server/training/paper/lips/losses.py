"""The losses of the audio encoder (paper section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-7


class LipFeature:
    """L_fea of section 3.3: the distance of the predicted mouth weights [N, mouth] from those that the frozen reader
    sees in the true frame, as a mean square."""

    def __call__(self, predicted: Tensor, read: Tensor) -> Tensor:
        return (predicted - read).square().mean()


class LipVelocity:
    """As `LipFeature`, of the change from frame to frame of clips [B, T, mouth]. Not in the paper; the release has it
    with a factor of 0.1."""

    def __call__(self, predicted: Tensor, read: Tensor) -> Tensor:
        return (predicted.diff(dim=1) - read.diff(dim=1)).square().mean()


class Synchrony:
    """L_sync of section 3.3: -log of the probability that drawn lips and sound belong together, which is the cosine
    [N] of their embeddings."""

    def __call__(self, cosine: Tensor) -> Tensor:
        return -torch.log(cosine.clamp(min=_LEAST)).mean()
