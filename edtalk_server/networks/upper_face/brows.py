"""Brows that rise at their inner and outer ends, and that draw together over a fold between them.

A smooth field moves the skin of the forehead: whole over the brows, fading towards the lids, the temples and the hair.
Coordinates are the head's: the origin between the eyes, X to the picture's right, Y down, the distance of the eyes as
the unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edtalk_server.networks.upper_face.fit import Eye, down_of

RAISE, FURROW_DOWN, FURROW_IN = 0.13, 0.075, 0.065
"""How far brows move at 1, in distances of the eyes."""
_FOLD_DEPTH = 0.13
"""How much darker the folds between drawn brows are."""


@dataclass(frozen=True)
class BrowRegion:
    """The forehead in a photo of a certain size: its rows and columns, its pixels' places [2, h, w] in 0..1 of the
    picture, and for every unit of inner and outer raise, furrow down and furrow in where the skin comes from, [4, 2, h,
    w]; `folds` [h, w] is how dark the folds are."""

    rows: slice
    columns: slice
    places: Tensor
    fields: Tensor
    folds: Tensor


def prepare_brows(
    photo: Tensor, eyes: tuple[Eye, Eye], within: list[tuple[slice, slice]]
) -> BrowRegion | None:
    """Prepare the brows of a photo [1, 3, n, n], in a region that holds the rows and columns `within`; None where they
    lie outside it."""
    side = photo.shape[-1]
    middle, across = (eyes[0].origin + eyes[1].origin) / 2, eyes[1].origin - eyes[0].origin
    down = down_of(across)
    unit = float(across.norm())
    bottom = sum(eye.brow * float(eye.across.norm()) for eye in eyes) / (2 * unit)
    margin = sum(eye.upper.height * float(eye.across.norm()) for eye in eyes) / (2 * unit)
    corners = torch.stack(
        [middle + x * across + y * down for x in (-1.15, 1.15) for y in (bottom - 0.75, 0.42)]
    )
    low = (corners.amin(0) * side).floor().clamp(0, side).int().tolist()
    high = (corners.amax(0) * side).ceil().clamp(0, side).int().tolist()
    for vertical, horizontal in within:
        low = [min(low[0], horizontal.start), min(low[1], vertical.start)]
        high = [max(high[0], horizontal.stop), max(high[1], vertical.stop)]
    if high[0] - low[0] < 2 or high[1] - low[1] < 2:
        return None
    rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
    line_x = (torch.arange(low[0], high[0], device=photo.device) + 0.5) / side
    line_y = (torch.arange(low[1], high[1], device=photo.device) + 0.5) / side
    places = torch.stack(torch.meshgrid(line_x, line_y, indexing="xy"))
    offset = (places - middle[:, None, None]) / unit**2
    x = (offset * across[:, None, None]).sum(0)
    y = (offset * down[:, None, None]).sum(0)
    fields = _fields(x, y, bottom, margin)
    moved = fields[:, :1] * across[:, None, None] + fields[:, 1:] * down[:, None, None]
    return BrowRegion(rows, columns, places, moved, _folds(x, y, bottom))


def _smooth(value: Tensor, low: float, high: float) -> Tensor:
    """Return 0 below `low`, 1 above `high`, and a smooth rise between them (or a fall where high is less)."""
    part = ((value - low) / (high - low)).clamp(0, 1)
    return part * part * (3 - 2 * part)


def _fields(x: Tensor, y: Tensor, bottom: float, margin: float) -> Tensor:
    """Return where skin comes from, in the head's coordinates, for each unit of the four moves, [4, 2, h, w]."""
    away = x.abs()
    lid = margin - 0.02
    lift = min(RAISE, 3 * max(lid - bottom, 0.03))
    fall = min(FURROW_DOWN, 0.6 * max(lid - bottom, 0.03))
    raised = _smooth(y, bottom - lift - 0.65, bottom - lift - 0.2) * _smooth(y, lid, bottom - lift)
    drawn = _smooth(y, bottom - 0.65, bottom - 0.2) * _smooth(y, lid, min(bottom, lid - 0.12))
    inner = _smooth(away, 0.65, 0.25)
    outer = (1 - inner) * _smooth(away, 1.1, 0.75)
    together = (away / 0.2).clamp_max(1.0) * _smooth(away, 0.8, 0.35) * x.sign()
    zero = torch.zeros_like(x)
    return torch.stack(
        [
            torch.stack([zero, lift * inner * raised]),
            torch.stack([zero, lift * outer * raised]),
            torch.stack([zero, -fall * (inner + 0.3 * outer) * drawn]),
            torch.stack([FURROW_IN * together * drawn, zero]),
        ]
    )


def _folds(x: Tensor, y: Tensor, bottom: float) -> Tensor:
    """Return two upright folds between the brows, 0..1."""
    lean = 0.085 + 0.15 * (y - bottom)
    fold = (-(((x.abs() - lean) / 0.032) ** 2)).exp()
    return fold * (-(((y - bottom - 0.01) / 0.085) ** 2)).exp() * _FOLD_DEPTH
