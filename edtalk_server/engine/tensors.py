"""The one place where 8-bit pictures become the networks' numbers, and back (docs/architecture.md, Contracts)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Pictures = npt.NDArray[np.uint8]
"""RGB uint8 [..., S, S, 3]."""


def to_tensor(pictures: Pictures) -> Tensor:
    """Return uint8 [..., S, S, 3] as float32 [..., 3, S, S] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).movedim(-1, -3).float() / 127.5 - 1


def to_pictures(images: Tensor) -> Pictures:
    """Return float [..., 3, S, S] in [-1, 1] (values beyond are clamped) as uint8 [..., S, S, 3]."""
    levels = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.asarray(levels.movedim(-3, -1).cpu().numpy())
