"""The three banks of orthonormal directions (paper section 3.1, Eq. 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edtalk_server.networks.config import EDTalkConfig

_OFFSET = 1e-8
"""Added to the directions before the factorisation, as in the release."""


class Banks(nn.Module):
    """A stored matrix [style_dim, channels] and its orthonormal factor, in the order mouth, pose,
    expression."""

    def __init__(self, config: EDTalkConfig) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(config.style_dim, config.channels))
        self.expression_start = config.mouth + config.pose
        self.signs = config.signs

    def orthonormal(self) -> Tensor:
        """Return Q [style_dim, channels] of the thin QR factorisation, on the parameter's device.

        The signs of the columns are LAPACK's (Householder reflectors), because weights refer to them; so it
        is done on the CPU; then those of the config turn them. In float64: the rounded result does not depend
        on the order of summation. Later banks are orthogonal to earlier ones. Differentiable. Call it once for
        fixed parameters: it is a constant.
        """
        matrix = self.directions.to(torch.float32) + _OFFSET
        q, _ = torch.linalg.qr(matrix.to("cpu", torch.float64))
        if self.signs:
            q = q * torch.tensor(self.signs, dtype=q.dtype)
        return q.to(self.directions.device, torch.float32)
