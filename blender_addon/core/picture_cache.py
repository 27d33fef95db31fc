# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pictures of faces on disk, by the hash of what they show. No bpy here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from shared_protocol import atomic_write

from . import bmp

SIDE = 128
"""Pixels of a side at most."""
FACE = (0.19, 0.09, 0.62)
"""The part of a crop that is kept, from brows to chin: left and low edge, and side, in fractions of the width."""
MOST = 600
"""Pictures that are kept; the oldest go."""


class PictureCache:
    """A folder of pictures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, key: str) -> Path:
        """Return where the picture with this key is, or would be."""
        return self._folder / f"{key}.bmp"

    def has(self, key: str) -> bool:
        """Return whether the picture is there."""
        return self.path(key).is_file()

    def put(self, key: str, width: int, height: int, pixels: bytes) -> None:
        """Keep a picture, raw RGBA, rows bottom-up, made small. Raises `OSError` when it cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write.write(self.path(key), bmp.encode(smaller(width, height, pixels)))

    def trim(self) -> None:
        """Delete the oldest pictures beyond `MOST`."""
        files = sorted(self._folder.glob("*.bmp"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[MOST:]:
            file.unlink(missing_ok=True)


def smaller(width: int, height: int, pixels: bytes) -> np.ndarray:
    """Return the face in a square picture, raw RGBA, as uint8 [side, side, 4]: means, of at most `SIDE` pixels."""
    whole = np.frombuffer(pixels, np.uint8).reshape(height, width, 4)
    left, low, side = (round(part * width) for part in FACE)
    whole = whole[low : low + side, left : left + side]
    (height, width), step = whole.shape[:2], -(-side // SIDE)
    rows, columns = height // step, width // step
    squares = whole[: rows * step, : columns * step].reshape(rows, step, columns, step, 4)
    return np.asarray(squares.mean(axis=(1, 3)) + 0.5, np.uint8)


def key_of(source: str, weights: bytes) -> str:
    """Return the key of a face: its source's (a content hash of bundle, portrait and crop) and its weights."""
    return hashlib.sha256(source.encode() + b"|" + weights).hexdigest()[:40]
