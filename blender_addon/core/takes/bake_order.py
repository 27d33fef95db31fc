# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a shot's frames are baked first: what the artist looks at. No bpy here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def in_order(frames: Sequence[int], current: int, spans: Sequence[range]) -> list[int]:
    """Return rising `frames` in the order in which to bake them: the current one, then those in each of `spans`, then
    the rest; in each part from the current frame to its end, then from its beginning."""
    left, parts = np.asarray(frames, np.int64), list[np.ndarray]()
    for span in (range(current, current + 1), *spans):
        inside = (left >= span.start) & (left < span.stop)
        parts.append(_from(left[inside], current))
        left = left[~inside]
    order: list[int] = np.concatenate([*parts, _from(left, current)]).tolist()
    return order


def _from(frames: np.ndarray, current: int) -> np.ndarray:
    return np.concatenate([frames[frames >= current], frames[frames < current]])
