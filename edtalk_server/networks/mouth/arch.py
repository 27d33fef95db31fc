"""Rows of teeth on the pixels of a mouth's box: which tooth stands in a column, and where it begins and ends."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TEETH = 16
"""Teeth in a row."""


class Arches(NamedTuple):
    """Two rows of teeth, upper and lower, on the columns of a box, [B, 2, 1, columns] each.

    `tooth` counts from the picture's left, 0 is the middle of the first; `edge` and `root` are where it ends and where
    the gum begins, from top to bottom -1..1; `width` is that of one tooth, where a box has 2 from side to side.
    """

    tooth: Tensor
    edge: Tensor
    root: Tensor
    width: Tensor


def arches(teeth: Tensor, columns: int) -> Arches:
    """Lay rows of teeth [B, 2, 16, 2, 2] (upper and lower row, tooth, edge and root, x and y) on a box's columns."""
    x = (torch.arange(columns, device=teeth.device) + 0.5) / columns * 2 - 1
    places = _rising(teeth[..., 0].mean(3))
    after = torch.searchsorted(places, x.expand(*places.shape[:2], -1).contiguous()).clamp(1, TEETH - 1)
    left, right = places.gather(2, after - 1), places.gather(2, after)
    part = ((x - left) / (right - left)).clamp(-0.5, 1.5)

    def between(values: Tensor) -> Tensor:
        low, high = values.gather(2, after - 1), values.gather(2, after)
        return (low + (high - low) * part)[:, :, None]

    return Arches(
        tooth=(after - 1 + part)[:, :, None],
        edge=between(teeth[..., 0, 1]),
        root=between(teeth[..., 1, 1]),
        width=(right - left)[:, :, None],
    )


def middle_of(values: Tensor, both: Arches) -> Tensor:
    """Return what `values` [B, 1 or 2, 1, columns] are in the middle of the upper row, [B, 1 or 2, 1, 1]."""
    nearness = (-((both.tooth[:, :1] - (TEETH - 1) / 2) ** 2)).exp()
    return (nearness * values).sum(3, keepdim=True) / nearness.sum(3, keepdim=True)


def box_rows(count: int, device: torch.device) -> Tensor:
    """Return the y of a box's rows, -1..1 from top to bottom, [1, 1, rows, 1]."""
    return ((torch.arange(count, device=device) + 0.5) / count * 2 - 1)[None, None, :, None]


def _rising(places: Tensor) -> Tensor:
    """Make teeth's places [B, 2, 16] rise from left to right: what an arch hides behind itself goes outwards."""
    step = torch.arange(TEETH // 2, device=places.device) * 2e-3
    right = torch.cummax(places[..., TEETH // 2 :], -1).values + step
    left = -torch.cummax(-places[..., : TEETH // 2].flip(-1), -1).values - step
    return torch.cat([left.flip(-1), right], -1)
