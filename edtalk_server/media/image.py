"""Pictures from files to networks: scaling and resizing as the release does it. `engine.tensors` has the way back.

`uint8 [H, W, 3]` RGB outside the networks, `float32 [3, S, S]` in [-1, 1] inside.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from edtalk_server.arrays import Doubles, Floats, Picture

_SIGNED = ((np.arange(256) / 255.0).astype(np.float32) - np.float32(0.5)) * np.float32(2.0)
"""The 256 levels in [-1, 1], with the release's roundings."""


def to_network(image: Picture) -> Floats:
    """Return uint8 [..., H, W, 3] as float32 [..., 3, H, W] in [-1, 1]."""
    return np.ascontiguousarray(np.moveaxis(_SIGNED[image], -1, -3))


def source_image(image: Picture, size: int) -> Floats:
    """Return a portrait as the release reads it: resized to a square by Pillow's bicubic filter, float32 [3, size,
    size]."""
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return to_network(np.asarray(resized, np.uint8))


def driving_frame(image: Picture, size: int, antialias: bool = False) -> Floats:
    """Return a frame of a driving video as the release reads it: bilinear, float32 [3, size, size].

    The release's torchvision did not smooth before reducing. `antialias` does, like later versions.
    """
    frame = ((image.astype(np.float32) / np.float32(255.0)) - np.float32(0.5)) * np.float32(2.0)
    rows = bilinear_weights(image.shape[0], size, antialias)
    columns = bilinear_weights(image.shape[1], size, antialias)
    resized = np.einsum("yh,hwc,xw->cyx", rows, frame.astype(np.float64), columns, optimize=True)
    return resized.astype(np.float32)


def bilinear_weights(before: int, after: int, antialias: bool) -> Doubles:
    """Return the matrix [after, before] of one-dimensional bilinear resizing with half-pixel centres."""
    scale = before / after
    support = max(scale, 1.0) if antialias else 1.0
    centers = (np.arange(after) + 0.5) * scale - 0.5
    if not antialias:
        centers = np.clip(centers, 0.0, before - 1.0)
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(before) - centers[:, None]) / support)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
