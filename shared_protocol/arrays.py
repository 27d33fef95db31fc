"""Weights as they cross the wire: little-endian float32, C order, [frames, channels]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .messages import Blob

FloatArray = npt.NDArray[np.float32]


def pack_weights(weights: npt.ArrayLike) -> Blob:
    """Return the bytes of weights, [frames, channels] or [channels]."""
    return Blob(np.ascontiguousarray(weights, "<f4").tobytes())


def unpack_weights(data: Blob, frames: int) -> FloatArray:
    """Return weights [frames, channels], a read-only view of the bytes. Raises `ValueError` when they do not fit."""
    return np.frombuffer(data, "<f4").reshape(frames, -1)
