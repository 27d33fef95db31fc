"""How large a picture may be, before it is decoded: a small file can stand for gigabytes."""

from __future__ import annotations

from enum import Enum

MAX_PIXELS = 100_000_000
"""Largest picture in pixels; a larger one would need more than a gigabyte while its face is detected."""
MAX_SIDE = 30_000
"""Largest side in pixels: longer ones are no portraits."""
MAX_BYTES = 1 << 30
"""Largest file, and the most bytes that its decoded channels may have."""


class Limit(Enum):
    """What of a picture is too large."""

    PIXELS = "pixels"
    SIDE = "side"
    BYTES = "bytes"


class TooLargeError(ValueError):
    """A picture beyond a limit."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit.value)
        self.limit = limit


def check_size(width: int, height: int) -> None:
    """Raise `TooLargeError` for a picture with too many pixels or too long a side, `ValueError` for one without any."""
    if width < 1 or height < 1:
        raise ValueError("it has no pixels")
    if width * height > MAX_PIXELS:
        raise TooLargeError(Limit.PIXELS)
    if max(width, height) > MAX_SIDE:
        raise TooLargeError(Limit.SIDE)


def check_volume(size: int) -> None:
    """Raise `TooLargeError` for a file, or its decoded channels, of too many bytes."""
    if size > MAX_BYTES:
        raise TooLargeError(Limit.BYTES)
