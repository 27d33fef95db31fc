"""How a picture is wanted (`OutputSpec`), and the way there from what the network draws.

Between network and file a picture is `Levels`: float32 [H, W, 3], sRGB, 0 to 255, not yet rounded. So 8-bit files are
rounded once, and deep files come from the network's own numbers. Alpha is straight: colours are not multiplied by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]
Rendered = npt.NDArray[Any]
"""uint8 sRGB, or float16 linear light; [H, W, 3] or, with alpha, [H, W, 4]."""

FACE, FULL = "face", "full"
LARGEST_SIDE = 4096
"""A full frame has at most so many pixels a side: what graphics cards take, in the memory that machines have."""

_SOFT_SIDE, _SOFT_CHIN = 0.12, 0.07
"""Width of the matte's soft edge in parts of the face picture; narrow below, where an open jaw comes close."""


@dataclass(frozen=True)
class OutputSpec:
    """`framing`: `face` (the crop) or `full` (the face in the whole portrait, at most `largest` pixels a side).
    `alpha`: with the face's matte. `deep`: half float, linear light, instead of 8 bits, sRGB."""

    framing: str = FACE
    alpha: bool = False
    deep: bool = False
    largest: int = LARGEST_SIDE

    def finish(self, levels: Levels, matte: Floats) -> Rendered:
        """The picture of `levels` [H, W, 3] with the matte [H, W] (0..1), as wanted."""
        colours = linear_light(levels) if self.deep else to_bytes(levels)
        if not self.alpha:
            return colours
        alpha = matte.astype(np.float16) if self.deep else to_bytes(matte * np.float32(255.0))
        return np.dstack([colours, alpha])


DEFAULT_OUTPUT = OutputSpec()
"""The face in 8 bits."""


def face_matte(size: int) -> Floats:
    """The matte [size, size] of a face picture: 1 inside, falling smoothly to 0 at its edges."""
    place = (np.arange(size) + 0.5) / size
    return matte_at(place[None, :], place[:, None])


def matte_at(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Floats:
    """The matte at places of the face picture, in fractions of its side; 0 outside."""
    across = _rise(x / _SOFT_SIDE) * _rise((1.0 - x) / _SOFT_SIDE)
    return np.asarray(across * _rise(y / _SOFT_SIDE) * _rise((1.0 - y) / _SOFT_CHIN), np.float32)


def _rise(t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """From 0 to 1 without a kink at either end."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def to_bytes(levels: Floats) -> Picture:
    """Rounded to 8 bits."""
    return np.clip(np.rint(levels), 0.0, 255.0).astype(np.uint8)


def linear_light(levels: Levels) -> npt.NDArray[np.float16]:
    """sRGB decoded (IEC 61966-2-1), as half floats; 255 becomes 1."""
    shown = np.clip(levels, 0.0, 255.0) / np.float32(255.0)
    light = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float16)


def linear_light_of_bytes(picture: Picture) -> npt.NDArray[np.float16]:
    """As `linear_light`, quick for large pictures of 8 bits."""
    return _light_of_bytes()[picture]


@cache
def _light_of_bytes() -> npt.NDArray[np.float16]:
    return linear_light(np.arange(256, dtype=np.float32))
