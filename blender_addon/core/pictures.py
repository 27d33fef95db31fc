# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as files in memory. No bpy here."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

_HEADER = struct.Struct("<2sIHHIIiiHHIIiiII")
_DPI_72 = 2835


def bmp(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A 24-bit BMP file of RGBA pixels [height, width, 4], rows bottom-up as the format (and Blender) has them."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, -(-width * 3 // 4) * 4), np.uint8)  # each row fills whole groups of four bytes
    rows[:, : width * 3] = pixels[..., 2::-1].reshape(height, -1)
    head = _HEADER.size
    file = (b"BM", head + rows.size, 0, 0, head)
    picture = (40, width, height, 1, 24, 0, rows.size, _DPI_72, _DPI_72, 0, 0)
    return _HEADER.pack(*file, *picture) + rows.tobytes()
