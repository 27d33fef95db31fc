"""Correspondence between rendered pictures, from the renderer's units to those of `interface.Motion`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edtalk_server.training.datasets.interface import Motion

HIDDEN, VISIBLE, BOTH_BACKGROUND = 0, 1, 2
BACKGROUND_PART = 255
_TRUST_OF_BACKGROUND = 0.3  # it stands still: true, but nothing to learn from
_TRUST_OF_HIDDEN = 0.15  # skin that the source hides a little: its flow is a fair guess


def motion(flow: npt.NDArray[Any], seen: npt.NDArray[Any], parts: npt.NDArray[Any]) -> Motion:
    """From flow [..., f, f, 2] in parts of the picture's width, visibility codes and part ids (both [..., f, f])."""
    hidden = (seen == HIDDEN) & (parts != BACKGROUND_PART)
    trust = (seen == VISIBLE) + _TRUST_OF_BACKGROUND * (seen == BOTH_BACKGROUND) + _TRUST_OF_HIDDEN * hidden
    return Motion(
        flow=torch.from_numpy(np.moveaxis(flow * 2.0, -1, -3).astype(np.float32)),
        visible=torch.from_numpy((seen != HIDDEN).astype(np.float32)[..., None, :, :]),
        trust=torch.from_numpy(trust.astype(np.float32)[..., None, :, :]),
    )
