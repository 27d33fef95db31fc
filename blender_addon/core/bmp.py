# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as files in memory. No bpy here."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

_HEADER = struct.Struct("<2sIHHIIiiHHIIiiII")
_DPI_72 = 2835


def header(width: int, height: int) -> bytes:
    """What stands before the rows of a 24-bit BMP file."""
    head, size = _HEADER.size, height * _row_bytes(width)
    file = (b"BM", head + size, 0, 0, head)
    return _HEADER.pack(*file, 40, width, height, 1, 24, 0, size, _DPI_72, _DPI_72, 0, 0)


def rows(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Some rows of it, RGBA pixels [rows, width, 4], bottom-up as the format (and Blender) has them."""
    height, width, _ = pixels.shape
    packed = np.zeros((height, _row_bytes(width)), np.uint8)
    packed[:, : width * 3] = pixels[..., 2::-1].reshape(height, -1)
    return packed.tobytes()


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A 24-bit BMP file of RGBA pixels [height, width, 4], rows bottom-up."""
    return header(pixels.shape[1], pixels.shape[0]) + rows(pixels)


def _row_bytes(width: int) -> int:
    """Each row fills whole groups of four bytes."""
    return -(-width * 3 // 4) * 4
