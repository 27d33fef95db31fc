"""What an embedded colour profile means: the way of its colours to sRGB, by LittleCMS."""

from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageCms

log = logging.getLogger(__name__)

Conversion = Callable[[Image.Image], Image.Image]
"""A picture in the colours of a profile -> the same one in sRGB, mode RGB."""

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
"""Pillow's mode for a profile's colour space."""
_STEPS = range(0, 256, 51)


def to_srgb(profile: bytes, mode: str) -> Conversion | None:
    """Return the conversion of pictures with that profile and mode (RGB, L, CMYK, LAB) to sRGB.

    None where the colours stay as they are: there is no profile, it is sRGB itself or fits no such picture, or it is
    broken, and then programs ignore it.
    """
    if not profile and mode != "LAB":
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        if _MODES.get(source.profile.xcolor_space) != mode:
            return None
        # without optimisations, which cost up to a level
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", flags=ImageCms.Flags.NOOPTIMIZE)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        log.info("a colour profile is ignored: %s", error)
        return None
    return None if mode == "RGB" and _changes_nothing(transform) else transform.apply


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Tell whether colours all over the cube stay within rounding."""
    cube = np.array(list(itertools.product(_STEPS, repeat=3)), np.uint8)[None]
    after = np.asarray(transform.apply(Image.fromarray(cube)))
    return bool(np.abs(after.astype(np.int16) - cube).max() <= 1)
