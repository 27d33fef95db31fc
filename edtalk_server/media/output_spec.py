"""The form of rendered pictures (`OutputSpec`), and the way there from the network's output.

Between network and file a picture is `Levels`: float32 [H, W, 3], sRGB, 0 to 255, not yet rounded. So 8-bit files are
rounded once, and deep files come from the network's own numbers. Alpha is straight: colours are not multiplied by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Floats, Levels, Picture, Rendered

FACE, FULL = "face", "full"
DEFAULT_SIZE = 512
"""Side in pixels of a face picture for film, where the portrait is so fine."""
LARGEST_SIDE = 4096
"""Largest side of a full frame in pixels: it must fit graphics cards and usual main memory."""

_SOFT_SIDE, _SOFT_CHIN = 0.12, 0.07
"""Width of the matte's soft edge in fractions of the face picture; narrower at the chin, which an open jaw reaches."""


@dataclass(frozen=True)
class OutputSpec:
    """The form of rendered pictures.

    `framing`: `face` (the crop) or `full` (the face in the whole portrait, at most `largest` pixels a side). `alpha`:
    with the face's matte. `deep`: half floats in linear light instead of 8 bits in sRGB. `size`: the side of a `face`
    picture in pixels, at most; the source's next smaller size is taken (`Source.side`), and for 0 the bundle's own.
    `cut_out`: a full frame of a portrait that is transparent in parts has the portrait's own alpha.
    """

    framing: str = FACE
    alpha: bool = False
    deep: bool = False
    largest: int = LARGEST_SIDE
    size: int = 0
    cut_out: bool = False

    def finish(self, levels: Levels, matte: Floats | None = None) -> Rendered:
        """Return the picture of `levels` [H, W, 3] with the matte [H, W] (0 to 1), if any, in this form."""
        colours = linear_light(levels) if self.deep else to_bytes(levels)
        if matte is None or not self.alpha:
            return colours
        alpha = matte.astype(np.float16) if self.deep else to_bytes(matte * np.float32(255.0))
        return np.dstack([colours, alpha])


DEFAULT_OUTPUT = OutputSpec()
"""The face in 8 bits."""


def face_matte(size: int) -> Floats:
    """Return the matte [size, size] of a face picture: 1 inside, falling smoothly to 0 at its edges."""
    place = (np.arange(size) + 0.5) / size
    return matte_at(place[None, :], place[:, None])


def matte_at(x: Doubles, y: Doubles) -> Floats:
    """Return the matte at positions in the face picture, in fractions of its side; 0 outside."""
    across = _rise(x / _SOFT_SIDE) * _rise((1.0 - x) / _SOFT_SIDE)
    return np.asarray(across * _rise(y / _SOFT_SIDE) * _rise((1.0 - y) / _SOFT_CHIN), np.float32)


def _rise(t: Doubles) -> Doubles:
    """Rise from 0 to 1 without a kink at either end."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def to_bytes(levels: Floats) -> Picture:
    """Round levels to 8 bits."""
    return np.clip(np.rint(levels), 0.0, 255.0).astype(np.uint8)


def linear_light(levels: Levels) -> npt.NDArray[np.float16]:
    """Decode sRGB levels (IEC 61966-2-1) to half floats; 255 becomes 1."""
    encoded = np.clip(levels, 0.0, 255.0) / np.float32(255.0)
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float16)


def linear_light_of_bytes(picture: Picture) -> npt.NDArray[np.float16]:
    """Decode as `linear_light` does, fast for large 8-bit pictures."""
    return _light_of_bytes()[picture]


@cache
def _light_of_bytes() -> npt.NDArray[np.float16]:
    return linear_light(np.arange(256, dtype=np.float32))
