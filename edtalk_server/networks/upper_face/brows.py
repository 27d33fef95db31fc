"""Brows that rise at their inner and outer ends, and that draw together over a fold between them.

A field moves the skin of the forehead: whole over the brows as they were found, lest they become thicker; below them
the skin is drawn out evenly as far as the lid, and above them it is pushed together before the hair begins.
Coordinates are the head's: the origin between the eyes, X to the picture's right, Y down, the distance of the eyes as
the unit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edtalk_server.networks.upper_face.fit import Eye, down_of
from edtalk_server.networks.upper_face.region import SkinRegion, rows_and_columns, smooth

RAISE, FURROW_DOWN, FURROW_IN = 0.13, 0.075, 0.065
"""How far brows move at 1, in distances of the eyes."""
_MOST_DRAWN_OUT = 1.1
"""By how much of itself the skin between brow and lid is drawn out at most."""
_LID_ENDS = 0.85
"""Beyond this part of an eye's width skin is drawn out as there: at its corners a lid has no height."""
_RESTS = 0.05
"""How far above a lid's margin, in the eye's units, skin rests: the lashes."""
_ABOVE = 0.05
"""How far above a brow skin moves as it does."""
_RAISED_REACH, _DRAWN_REACH = 0.38, 0.5
"""How far above that skin gives way to a raised brow, and to one that is drawn down."""
_FOLD_DEPTH = 0.13
"""How much darker the folds between drawn brows are."""


class _Heights(NamedTuple):
    """Where pixels [h, w] lie between brow and lid, in distances of the eyes: `below` the brow's lower edge, and the
    `gap` from there to the lid's lashes; and for the whole face how `thick` brows are, and the middle of that gap."""

    below: Tensor
    gap: Tensor
    thick: float
    middle: float


def prepare_brows(
    photo: Tensor, eyes: tuple[Eye, Eye], within: list[tuple[slice, slice]]
) -> SkinRegion | None:
    """Prepare the brows of a photo [1, 3, n, n], in a region that holds the rows and columns `within`: fields of inner
    and outer raise, furrow down and furrow in. None where they lie outside it."""
    side = photo.shape[-1]
    middle, across = (eyes[0].origin + eyes[1].origin) / 2, eyes[1].origin - eyes[0].origin
    down = down_of(across)
    unit = float(across.norm())
    bottom = sum(eye.brow.offset * float(eye.across.norm()) for eye in eyes) / (2 * unit)
    corners = [middle + x * across + y * down for x in (-1.15, 1.15) for y in (bottom - 0.75, 0.42)]
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
    fields = _fields(x, _heights(places, x, eyes, unit))
    moved = fields[:, :1] * across[:, None, None] + fields[:, 1:] * down[:, None, None]
    return SkinRegion(rows, columns, places, moved, _folds(x, y, bottom))


def _heights(places: Tensor, x: Tensor, eyes: tuple[Eye, Eye], unit: float) -> _Heights:
    """Return where `places` [2, h, w] of the picture lie; `x` [h, w] is where from the middle of the face."""
    right = smooth(x, -0.12, 0.12)
    below, gap, thick, middle = torch.zeros_like(x), torch.zeros_like(x), 0.0, 0.0
    for eye, share in zip(eyes, (1 - right, right), strict=True):
        scale = float(eye.across.norm()) / unit
        offset, length = places - eye.origin[:, None, None], (eye.across * eye.across).sum()
        own_x = (offset * eye.across[:, None, None]).sum(0) / length
        own_y = (offset * down_of(eye.across)[:, None, None]).sum(0) / length
        brow, near = eye.brow.at(own_x), own_x.clamp(-_LID_ENDS, _LID_ENDS)
        below = below + share * scale * (own_y - brow)
        gap = gap + share * scale * (eye.upper.at(near) - _RESTS - brow).clamp_min(0.12)
        thick += 0.5 * scale * eye.brow.thick
        middle += 0.5 * scale * max(eye.upper.height - _RESTS - eye.brow.offset, 0.12)
    return _Heights(below, gap, thick, middle)


def _fields(x: Tensor, at: _Heights) -> Tensor:
    """Return where skin comes from, in the head's coordinates, for each unit of the four moves, [4, 2, h, w]."""
    away = x.abs()
    lift = min(RAISE, _MOST_DRAWN_OUT * at.middle)
    fall = min(FURROW_DOWN, 0.6 * at.middle)
    top = -at.thick - _ABOVE
    raised = smooth(at.below, top - lift - _RAISED_REACH, top - lift) * _drawn_out(at, lift)
    drawn = smooth(at.below, top - _DRAWN_REACH, top) * ((at.gap - at.below) / at.gap.clamp_min(0.12)).clamp(
        0, 1
    )
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


def _drawn_out(at: _Heights, lift: float) -> Tensor:
    """Return what of a `lift` skin goes along with: all from the lifted brow's edge up, nothing at the lid, and evenly
    less in between, so that nothing there is drawn out more than the rest."""
    return ((at.gap - at.below) / (at.gap + lift)).clamp(0, 1)


def _folds(x: Tensor, y: Tensor, bottom: float) -> Tensor:
    """Return two upright folds between the brows, 0..1."""
    lean = 0.085 + 0.15 * (y - bottom)
    fold = (-(((x.abs() - lean) / 0.032) ** 2)).exp()
    return fold * (-(((y - bottom - 0.01) / 0.085) ** 2)).exp() * _FOLD_DEPTH
