"""Draw what parted lips show: the dark of the mouth, the tongue, gums and two rows of teeth, in the portrait's light.

A painter that has seen the frame says where the mouth is open, another network where the teeth stand (`detail`). The
rest is geometry, so that it is as sharp in every size: incisors, canines and molars have their own outlines and are
round, they part in the middle of what lies between them, recede into the dark towards the corners, and lie in the
shadow of the lips. All is continuous in what it is given: nothing jumps from frame to frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edtalk_server.networks.compact_blocks import closed
from edtalk_server.networks.mouth.arch import TEETH, Arches, arches, box_rows, middle_of
from edtalk_server.networks.mouth.light import MouthLight

_SHORTER = ((0.0, 0.025, -0.005, 0.02, 0.03, 0.05, 0.08, 0.1), (0.0, 0.0, -0.01, 0.02, 0.04, 0.06, 0.08, 0.1))
"""By how much of its length a tooth ends before the longest one: upper row and lower row, from the middle outwards."""
_CORNERS = (
    (0.035, 0.05, 0.09, 0.07, 0.06, 0.05, 0.05, 0.05),
    (0.03, 0.035, 0.08, 0.06, 0.05, 0.05, 0.05, 0.05),
)
"""By how much of its length the corners of a tooth's edge are shorter than its middle."""
_POINTED = ((4.0, 3.2, 1.7, 1.8, 2.0, 2.0, 2.0, 2.0), (4.0, 4.0, 1.8, 1.8, 2.0, 2.0, 2.0, 2.0))
"""How these corners are rounded off: a large power is a straight edge, a small one a point."""
_ODD_EDGE = (0, 0.02, -0.015, 0.03, -0.01, 0.035, -0.02, 0.012, 0, 0.03, -0.012, 0.02, 0.03, -0.02, 0.01, 0)
_ODD_LIGHT = (0, -0.03, 0.02, -0.05, 0.01, -0.06, -0.03, 0, -0.045, 0.01, -0.02, -0.07, 0.01, -0.04, 0, 0)
"""By how much more of its length a tooth ends before the longest one, and how much lighter it is, from the picture's
left to its right: no row of teeth is even, nor alike on both sides."""
_RECEDE = (1.0, 1.0, 0.97, 0.87, 0.74, 0.6, 0.45, 0.3, 0.2)
"""How much light reaches a tooth, from the middle of the row outwards."""
_LOWER_LIGHT = 0.84
_GAP, _GAP_DEPTH = 0.09, 0.3
"""Half the width of the line between two teeth, of half a tooth, and how dark it is."""
_ROUND = 0.09
"""How much darker a tooth's sides are than its middle."""
_NECK = 0.14
"""How much darker it is at the gum."""
_GLOSS = 0.1
_GUM, _PAPILLA = 0.9, 0.2
"""Where the gum begins, of a tooth's length, and how much lower it hangs between two teeth."""
_GUM_REACH = 0.55
_UNDER_LIP, _UNDER_LIP_DEPTH = 0.055, 0.34
"""How far the shadow of the upper lip reaches, in halves of a box, and how dark it is; then the lower lip's, and that
of the corners."""
_OVER_LIP, _OVER_LIP_DEPTH = 0.035, 0.22
_CORNER, _CORNER_DEPTH = 0.1, 0.5
_NARROW, _LET_IN = (0.15, 0.45), (0.86, 1.2)
"""Heights of an opening, in halves of a box, that let in the least and the most light, and how much that is."""
_TONGUE_WIDTH, _TONGUE_HEIGHT = 0.36, 0.62
"""Half the width of a tongue in halves of a box, and how much of the way between the rows of teeth it fills."""
_TOUCHING, _BETWEEN = 0.12, 0.66
"""How far apart the rows of teeth are, in halves of a box, when it is dark between them; and how light it is behind the
rounded corners of teeth that touch, of a tooth: the dark of the mouth would be specks there."""
_WARMER = (0.0, 0.1, 0.2)
"""What else shade takes of each colour, in the red light inside a mouth."""
_EDGE = (0.12, 0.62)
"""Shares of the painter's inside between which the lip's edge lies."""


def opening(share: Tensor) -> Tensor:
    """Return how much of each pixel lies inside the mouth [B, 1, rows, columns], from the painter's share of it."""
    low, high = _EDGE
    part = ((share - low) / (high - low)).clamp(0, 1)
    return part * part * (3 - 2 * part)


def whole(share: Tensor) -> Tensor:
    """Return shares [B, 1, rows, columns] without the notches and holes that are narrower than a tenth of the box."""
    return closed(share, share.shape[-1] // 20)


def draw_inside(teeth: Tensor, inside: Tensor, light: MouthLight) -> Tensor:
    """Draw the inside of a mouth, [B, 3, rows, columns] in 0..1. `teeth` [B, 2, 16, 2, 2] as `arches` takes them,
    `inside` [B, 1, rows, columns]: how much of each pixel is inside the mouth."""
    rows, columns = inside.shape[2:]
    picture = inside.new_zeros(len(inside), 3, rows, columns)
    across, down = _open_part(inside)
    if across.stop > across.start:
        mouth = _Mouth(arches(teeth, columns), across, box_rows(rows, inside.device)[:, :, down], 2 / rows)
        lit = (_lips_shadow(inside) * _let_in(inside)).clamp_max(1.0)
        shade = _warm(lit[..., down, across]) * _from_sides(light, columns)[..., across]
        picture[..., down, across] = _with_teeth(mouth, _cavity(mouth, light), light) * shade
    return picture


class _Mouth(NamedTuple):
    """Both rows of teeth on all columns, the columns that are drawn, the y of the rows that are, and a pixel's height,
    of which a box has 2."""

    whole: Arches
    across: slice
    y: Tensor
    pixel: float

    @property
    def teeth(self) -> Arches:
        """The rows of teeth on the columns that are drawn."""
        return Arches(*(values[..., self.across] for values in self.whole))


def _open_part(inside: Tensor) -> tuple[slice, slice]:
    """Return the columns and rows between which mouths [B, 1, rows, columns] are open."""
    seen = inside.amax((0, 1)) > 0
    spans = []
    for line in (seen.any(0), seen.any(1)):
        places = line.nonzero()[:, 0]
        spans.append(slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0))
    return spans[0], spans[1]


def _with_teeth(mouth: _Mouth, picture: Tensor, light: MouthLight) -> Tensor:
    """Return the dark of the mouth [B, 3, rows, columns] with gums and teeth before it, the upper row in front."""
    shape = _teeth(mouth)
    picture = picture + shape.touch * (_shown(light.enamel * _warm(shape.between)) - picture)
    for row, level in ((1, _LOWER_LIGHT), (0, 1.0)):
        gum, cover = shape.gum[:, row : row + 1], shape.cover[:, row : row + 1]
        shade = shape.shade[:, row : row + 1] * level
        picture = picture + gum * (light.flesh * (0.9 * shade) - picture)
        picture = picture + cover * (_shown(light.enamel * _warm(shade)) - picture)
    return picture


def _shown(colour: Tensor) -> Tensor:
    """Return colours [B, 3, ...] of which no channel is more than white: too bright ones keep half of their hue, else
    teeth become flat white with yellow lines between them."""
    return (colour / colour.amax(1, keepdim=True).clamp_min(1.0) + colour.clamp_max(1.0)) / 2


def _warm(shade: Tensor) -> Tensor:
    """Return the colours [B, 3, ...] of shades [B, 1, ...]: what is darker is redder."""
    return shade * (1 - (1 - shade).clamp(0, 1) * shade.new_tensor(_WARMER)[:, None, None])


class _Shape(NamedTuple):
    """Both rows of teeth, [B, 2, rows, columns] each: how much of a pixel is tooth, how much gum, and how light it
    is; and [B, 1, 1, columns] how far the rows touch, and how light it is between them then."""

    cover: Tensor
    gum: Tensor
    shade: Tensor
    touch: Tensor
    between: Tensor


def _teeth(mouth: _Mouth) -> _Shape:
    """Shape both rows of teeth on pixels."""
    both, y = mouth.teeth, mouth.y
    from_middle = (both.tooth - (TEETH - 1) / 2).abs()
    number = from_middle.floor().clamp(0, TEETH // 2 - 1)
    across = (2 * (from_middle - number) - 1).clamp(-1, 1).abs()
    length = both.root - both.edge
    length = torch.where(length.abs() < 1e-3, torch.full_like(length, 1e-3), length)
    along = (y - both.edge) / length
    pixel = mouth.pixel / length.abs().clamp_min(0.02)
    shorter, corners, pointed = (_of(values, number) for values in (_SHORTER, _CORNERS, _POINTED))
    end = shorter + _by_tooth(_ODD_EDGE, both) + corners * across**pointed
    neck = _GUM - _PAPILLA * across**3
    wide = both.width / mouth.whole.width.amax(3, keepdim=True)
    # the last ones are lost in the dark, and so are those that stand behind others
    here = ((TEETH / 2 - from_middle) / 1.5).clamp(0, 1) * _smooth((wide - 0.15) / 0.2)
    cover = ((along - end) / pixel + 0.5).clamp(0, 1) * ((neck - along) / pixel + 0.5).clamp(0, 1) * here
    gum = ((along - neck) / pixel + 0.5).clamp(0, 1)
    gum = gum * ((_GUM + _GUM_REACH - along) / _GUM_REACH).clamp(0, 1) * here
    apart = both.edge[:, 1:2] - both.edge[:, :1]
    touch = _smooth(1 - apart / _TOUCHING) * here.amin(1, keepdim=True)
    shade = _shade(both, from_middle, across, along, mouth.whole.tooth.shape[-1])
    return _Shape(cover, gum, shade, touch, _BETWEEN * _receding(from_middle[:, :1]))


def _shade(both: Arches, from_middle: Tensor, across: Tensor, along: Tensor, columns: int) -> Tensor:
    """Return how light teeth are in a box of so many columns: round, with a line between them, darker at the neck,
    glossy, receding."""
    half = (both.width / 2).clamp_min(1e-3)
    line = torch.maximum(torch.full_like(half, _GAP), 1.2 / columns / half)  # never thinner than a pixel
    gap = _GAP_DEPTH * (_GAP / line).sqrt() * (-(((1 - across) / line) ** 2)).exp()
    neck = _NECK * along.clamp(0, 1) ** 2
    gloss = _GLOSS * (-(((along - 0.38) / 0.2) ** 2) - (across / 0.5) ** 2).exp()
    form = (1 - gap) * (1 - _ROUND * across**2) * (1 - neck + gloss)
    return form * (1 + _by_tooth(_ODD_LIGHT, both)) * _receding(from_middle)


def _by_tooth(values: tuple[float, ...], both: Arches) -> Tensor:
    """Return what `values` say of the tooth in each column, [B, 2, 1, columns]."""
    return _of((values, values), both.tooth.round().clamp(0, TEETH - 1))


def _receding(from_middle: Tensor) -> Tensor:
    """Return how much light reaches places so many teeth from the middle."""
    levels = from_middle.new_tensor(_RECEDE)
    low = (from_middle - 0.5).clamp(0, len(_RECEDE) - 1.001)
    index = low.floor().long()
    return levels[index] + (low - index) * (levels[index + 1] - levels[index])


def _of(values: tuple[tuple[float, ...], ...], number: Tensor) -> Tensor:
    """Return for teeth `number` [B, 2, 1, columns] what `values` say of each of both rows."""
    table, index = number.new_tensor(values), number.long()
    return torch.stack([table[row][index[:, row]] for row in (0, 1)], 1)


def _cavity(mouth: _Mouth, light: MouthLight) -> Tensor:
    """Return the dark of the mouth and the tongue in it, [B, 3, rows, columns]."""
    whole, y, columns = mouth.whole, mouth.y, mouth.whole.tooth.shape[-1]
    line = (torch.arange(columns, device=y.device) + 0.5) / columns * 2 - 1
    middle = middle_of(line.expand_as(whole.tooth[:, :1]), whole)
    top, floor = middle_of(whole.edge, whole).split(1, 1)
    x = line[mouth.across]
    away = (x - middle) / _TONGUE_WIDTH
    room = (floor - top).clamp_min(0.0)
    crown = floor - _TONGUE_HEIGHT * room * (1 - away**2)
    below = (y - crown) / (_TONGUE_HEIGHT * room + 0.05)
    tongue = _smooth(below / 0.3 + 0.4) * _smooth((1.15 - away.abs()) / 0.35)
    groove = 1 - 0.16 * (-((away / 0.12) ** 2)).exp() * _smooth(1.2 - below)
    lit = (0.55 + 0.5 * _smooth(below / 0.8)) * groove * (1 - 0.35 * away.clamp(-1, 1) ** 2)
    return light.dark + tongue * (light.flesh * lit - light.dark)


def _lips_shadow(inside: Tensor) -> Tensor:
    """Return how much light comes past lips and corners, [B, 1, rows, columns]."""
    rows, columns = inside.shape[2:]
    down = inside.cumsum(2) * (2 / rows)
    up = inside.flip(2).cumsum(2).flip(2) * (2 / rows)
    right = inside.cumsum(3) * (2 / columns)
    left = inside.flip(3).cumsum(3).flip(3) * (2 / columns)
    shade = 1 - _UNDER_LIP_DEPTH * (-down / _UNDER_LIP).exp()
    shade = shade * (1 - _OVER_LIP_DEPTH * (-up / _OVER_LIP).exp())
    return shade * (1 - _CORNER_DEPTH * (-torch.minimum(left, right) / _CORNER).exp())


def _let_in(inside: Tensor) -> Tensor:
    """Return how much light the whole opening lets in, [B, 1, 1, 1]: little between lips that hardly part."""
    height = inside.cumsum(2)[:, :, -1:].amax(3, keepdim=True) * (2 / inside.shape[2])
    low, high = _LET_IN
    return low + (high - low) * _smooth((height - _NARROW[0]) / (_NARROW[1] - _NARROW[0]))


def _from_sides(light: MouthLight, columns: int) -> Tensor:
    """Return the light from the picture's left to its right, [1, 1, 1, columns]."""
    part = ((torch.arange(columns, device=light.sides.device) + 0.5) / columns - 0.5) * 2 + 0.5
    left, right = light.sides
    return (left + _smooth(part) * (right - left))[None, None, None]


def _smooth(value: Tensor) -> Tensor:
    part = value.clamp(0, 1)
    return part * part * (3 - 2 * part)
