"""Sides of face pictures in pixels: those that a bundle draws, that a portrait holds, and the one that is asked for.

Lists of sizes rise; the first is the bundle's own, which every portrait has.
"""

from __future__ import annotations

from collections.abc import Sequence

HELD = 7 / 8
"""A portrait holds a size when its crop has at least this share of the pixels: a larger picture would show no more."""


def held_sizes(sizes: Sequence[int], crop_side: float) -> tuple[int, ...]:
    """Return those of a bundle's `sizes` that a portrait holds whose crop has a side of so many pixels."""
    return (sizes[0], *(side for side in sizes[1:] if HELD * side <= crop_side))


def largest_size(sizes: Sequence[int], most: int) -> int:
    """Return the largest of some sizes that is at most `most`; the first one where all are larger."""
    return max((side for side in sizes if side <= most), default=sizes[0])
