"""Pictures that are kept in the .blend come back as they were."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from blender_addon.core import bmp


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (64, 64), (255, 7)])
def test_a_packed_picture_is_the_picture(width: int, height: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 4), np.uint8)
    with Image.open(io.BytesIO(bmp.encode(pixels))) as image:
        read = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read, pixels[::-1, :, :3])
