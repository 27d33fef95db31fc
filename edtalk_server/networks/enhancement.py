"""The expression enhancement module EEM (paper section 3.2): AdaIN of a source feature by the expression
latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPSILON = 1e-5


class Enhancement(nn.Module):
    """F + (1 + gamma(e)) * IN(conv(F)) + beta(e) for one feature map [B, C, n, n] and expression latent [B,
    style_dim].

    The normalised part depends on the source alone (`normalized`), the affine part on the expression alone
    (`affine`).
    """

    def __init__(self, channels: int, style_dim: int, hidden: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.shared = nn.Linear(style_dim, hidden)
        self.gamma = nn.Linear(hidden, channels)
        self.beta = nn.Linear(hidden, channels)

    def forward(self, feature: Tensor, expression: Tensor) -> Tensor:
        return self.apply_affine(feature, self.normalized(feature), *self.affine(expression))

    def normalized(self, feature: Tensor) -> Tensor:
        """Return the instance norm of the convolved feature, [B, C, n, n]; statistics of the instance, biased
        variance."""
        return F.instance_norm(self.conv(feature), eps=_EPSILON)

    def affine(self, expression: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma and beta, [B, C, 1, 1] each."""
        hidden = torch.relu(self.shared(expression))
        return self.gamma(hidden)[:, :, None, None], self.beta(hidden)[:, :, None, None]

    @staticmethod
    def apply_affine(feature: Tensor, normalized: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Return the enhanced feature from its parts (shapes broadcast over the batch)."""
        return feature + (1.0 + gamma) * normalized + beta
