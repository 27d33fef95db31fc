"""A part of a photo whose skin is moved by smooth fields, and darkened where it folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class SkinRegion:
    """Rows and columns of a photo of a certain size, its pixels' places [2, h, w] in 0..1 of the picture, and for every
    unit of each of K moves where the skin comes from, beside its place, `fields` [K, 2, h, w]; `folds` [h, w] is how
    much darker it becomes where it folds."""

    rows: slice
    columns: slice
    places: Tensor
    fields: Tensor
    folds: Tensor

    def skin(self, amounts: Tensor) -> Tensor:
        """Return where skin comes from, beside its place, for amounts [B, K] of the moves: [B, 2, h, w]."""
        return (amounts[:, :, None, None, None] * self.fields).sum(1)

    def drawn(self, photo: Tensor, skin: Tensor) -> Tensor:
        """Return the region of photos [1 or B, 3, n, n] whose skin comes from beside its place, [B, 3, h, w]."""
        grid = (self.places + skin).permute(0, 2, 3, 1) * 2 - 1
        source = photo.float().expand(len(grid), -1, -1, -1)
        return F.grid_sample(source, grid, padding_mode="border", align_corners=False)

    def folded(self, drawn: Tensor, amounts: Tensor) -> Tensor:
        """Return the drawn region with its folds at amounts [B] of their depth."""
        shade = 1 - amounts.clamp(0, 1)[:, None, None] * self.folds
        return (drawn + 1) * shade[:, None] - 1

    def over(self, photos: Tensor, drawn: Tensor, awake: Tensor) -> Tensor:
        """Return photos [1 or B, 3, n, n] with the region drawn over them in those that are `awake` [B]."""
        out = photos.expand(len(drawn), -1, -1, -1).clone()
        before = out[:, :, self.rows, self.columns]
        out[:, :, self.rows, self.columns] = torch.where(
            awake[:, None, None, None], drawn.to(out.dtype), before
        )
        return out


def rows_and_columns(
    points: Tensor, side: int, within: Sequence[tuple[slice, slice]] = ()
) -> tuple[slice, slice] | None:
    """Return rows and columns of a picture of `side` pixels that hold `points` [P, 2] in 0..1 and all of `within`; None
    where there are hardly any."""
    low = (points.amin(0) * side).floor().clamp(0, side).int().tolist()
    high = (points.amax(0) * side).ceil().clamp(0, side).int().tolist()
    for rows, columns in within:
        low = [min(low[0], columns.start), min(low[1], rows.start)]
        high = [max(high[0], columns.stop), max(high[1], rows.stop)]
    if high[0] - low[0] < 2 or high[1] - low[1] < 2:
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def smooth(value: Tensor, low: float, high: float) -> Tensor:
    """Return 0 below `low`, 1 above `high`, and a smooth rise between them (or a fall where `high` is less)."""
    part = ((value - low) / (high - low)).clamp(0, 1)
    return part * part * (3 - 2 * part)
