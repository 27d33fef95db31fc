"""The one place where 8-bit pictures become the networks' tensors, and back (docs/architecture.md, Contracts)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edtalk_server.arrays import Picture
from edtalk_server.media.image import to_network

Pictures = Picture
"""RGB uint8 [..., S, S, 3]."""


def to_tensor(pictures: Pictures) -> Tensor:
    """Return uint8 [..., S, S, 3] as float32 [..., 3, S, S] in [-1, 1], with the release's rounding."""
    return torch.from_numpy(to_network(pictures))


def to_levels(images: Tensor) -> Tensor:
    """Return a network's output in [-1, 1] as float32 levels, 0 to 255, before rounding; values beyond are clamped."""
    return (images.float().clamp(-1.0, 1.0) + 1.0) * 127.5


def round_levels(levels: Tensor) -> Tensor:
    """Round levels to uint8, half to even."""
    return levels.round().to(torch.uint8)


def to_pictures(images: Tensor) -> Pictures:
    """Return a network's output [..., 3, S, S] as uint8 [..., S, S, 3]."""
    return np.asarray(round_levels(to_levels(images)).movedim(-3, -1).cpu().numpy())
