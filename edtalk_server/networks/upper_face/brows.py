"""Brows that rise at their inner and outer ends, and that draw together over a fold between them.

A smooth field moves the skin of the forehead: whole over the brows, fading towards the lids, the temples and the hair.
Coordinates are the head's: the origin between the eyes, X to the picture's right, Y down, the distance of the eyes as
the unit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edtalk_server.networks.upper_face.fit import Eye, down_of
from edtalk_server.networks.upper_face.region import SkinRegion, rows_and_columns, smooth

RAISE, FURROW_DOWN, FURROW_IN = 0.13, 0.075, 0.065
"""How far brows move at 1, in distances of the eyes."""
_FOLD_DEPTH = 0.13
"""How much darker the folds between drawn brows are."""


def prepare_brows(
    photo: Tensor, eyes: tuple[Eye, Eye], within: list[tuple[slice, slice]]
) -> SkinRegion | None:
    """Prepare the brows of a photo [1, 3, n, n], in a region that holds the rows and columns `within`: fields of inner
    and outer raise, furrow down and furrow in. None where they lie outside it."""
    side = photo.shape[-1]
    middle, across = (eyes[0].origin + eyes[1].origin) / 2, eyes[1].origin - eyes[0].origin
    down = down_of(across)
    unit = float(across.norm())
    bottom = sum(eye.brow * float(eye.across.norm()) for eye in eyes) / (2 * unit)
    margin = sum(eye.upper.height * float(eye.across.norm()) for eye in eyes) / (2 * unit)
    corners = [middle + x * across + y * down for x in (-1.15, 1.15) for y in (bottom - 0.9, 0.42)]
    found = rows_and_columns(torch.stack(corners), side, within)
    if found is None:
        return None
    rows, columns = found
    line_x = (torch.arange(columns.start, columns.stop, device=photo.device) + 0.5) / side
    line_y = (torch.arange(rows.start, rows.stop, device=photo.device) + 0.5) / side
    places = torch.stack(torch.meshgrid(line_x, line_y, indexing="xy"))
    offset = (places - middle[:, None, None]) / unit**2
    x = (offset * across[:, None, None]).sum(0)
    y = (offset * down[:, None, None]).sum(0)
    fields = _fields(x, y, bottom, margin)
    moved = fields[:, :1] * across[:, None, None] + fields[:, 1:] * down[:, None, None]
    return SkinRegion(rows, columns, places, moved, _folds(x, y, bottom))


def _fields(x: Tensor, y: Tensor, bottom: float, margin: float) -> Tensor:
    """Return where skin comes from, in the head's coordinates, for each unit of the four moves, [4, 2, h, w]."""
    away = x.abs()
    lid = margin - 0.02
    lift = min(RAISE, 3 * max(lid - bottom, 0.03))
    fall = min(FURROW_DOWN, 0.6 * max(lid - bottom, 0.03))
    raised = smooth(y, bottom - lift - 0.65, bottom - lift - 0.2) * smooth(y, lid, bottom - lift)
    drawn = smooth(y, bottom - 0.65, bottom - 0.2) * smooth(y, lid, min(bottom, lid - 0.12))
    inner = smooth(away, 0.65, 0.25)
    outer = (1 - inner) * smooth(away, 1.1, 0.75)
    together = (away / 0.2).clamp_max(1.0) * smooth(away, 0.8, 0.35) * x.sign()
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
