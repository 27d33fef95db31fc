"""Find the portrait's own upper teeth, so that a mouth that opens further keeps them where the skull holds them.

A mouth's box is fixed to the head, and so are the upper teeth: what the portrait shows of them is what every other
mouth of that person shows in the same place, as far as the lips leave it to see.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_NEAR, _BELOW_LIP = 0.14, 0.34
"""How far from the inner lips' landmarks teeth are believed in, and how far below the upper lip upper ones end, in
halves of a box."""
_NO_LIPS, _NO_SKIN, _BRIGHT = (0.42, 0.62), (1.02, 1.08), (0.5, 0.72)
"""Where green over red lies between that of the lips and of white, the same over that of the cheek, and brightness
over the cheek's, at which nothing and all looks like teeth."""
_LIPS = ((50, 61), (51, 62), (52, 63), (56, 65), (57, 66), (58, 67))
"""Landmarks on both sides of the red of the lips."""
_AREA = (0.0015, 0.003)
"""Parts of the box in which teeth are plain where they are not believed and believed."""
_REACH = 0.09
"""How far from plain teeth less plain ones are believed, of the box's width."""
_MIDDLE = 0.28
"""Half the width of the front teeth, whose edges say how long teeth are."""
_GLINT = 0.06
_LUMA = (0.299, 0.587, 0.114)


class OwnTeeth(NamedTuple):
    """The portrait's upper teeth: where they are in its mouth's box [1, 1, rows, columns], the y of their lower edge in
    the middle, and their colour [1, 3, 1, 1] in 0..1; `sure` is 0 where none were found."""

    place: Tensor
    edge: Tensor
    colour: Tensor
    sure: Tensor


def own_teeth(box: Tensor, points: Tensor, cheek: Tensor) -> OwnTeeth:
    """Find upper teeth in a mouth's box [1, 3, rows, columns] in -1..1, with the landmarks [1, 68, 2] in it and the
    colour of the `cheek` [3]."""
    picture = (box.float() + 1) / 2
    columns = box.shape[3]
    x, y = _axes((box.shape[2], columns), box.device)
    luma = box.new_tensor(_LUMA)
    bright = (picture * luma[:, None, None]).sum(1, keepdim=True) / (cheek @ luma).clamp_min(0.05)
    green = picture[:, 1:2] / picture[:, :1].clamp_min(0.05)
    red = _of_lips(green, points[0])
    pale = green / (cheek[1] / cheek[0].clamp_min(0.05)).clamp_min(0.2)
    likely = (
        _around(points[0, 60:], x, y) * _rise((green - red) / (1 - red), *_NO_LIPS) * _rise(bright, *_BRIGHT)
    )
    plain = likely * _rise(pale, *_NO_SKIN)
    reach = round(_REACH * columns)
    place = likely * F.max_pool2d(plain, 2 * reach + 1, 1, reach)
    place = F.avg_pool2d(_filled(place, columns // 40), 3, 1, 1)
    weight = plain.square() + 1e-6
    colour = (picture * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)
    lowest = torch.where((place[0, 0] > 0.5) & (x.abs() < _MIDDLE), y, y.new_tensor(-2.0)).amax(0)
    found = lowest[lowest > -2]
    edge = found.median() if len(found) else y.new_tensor(0.0)
    above = ((edge + _GLINT - y) / 0.04).clamp(0, 1)  # what shines below the teeth is the lower lip
    return OwnTeeth(place * above, edge, colour, _rise(plain.mean(), *_AREA))


def between_lips(lips: Tensor, size: tuple[int, int]) -> Tensor:
    """Return how much of each pixel lies between the inner lips [B, 8, 2] in a box of `size`, [B, 1, rows, columns]."""
    x, y = _axes(size, lips.device)
    each = [(_line(points[[0, 1, 2, 3, 4]], x), _line(points[[0, 7, 6, 5, 4]], x)) for points in lips]
    top, bottom = (torch.stack(lines)[:, None] for lines in zip(*each, strict=True))
    return ((torch.minimum(y - top, bottom - y) * size[0] / 2) + 0.5).clamp(0, 1)


def _axes(size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    rows, columns = size
    x = ((torch.arange(columns, device=device) + 0.5) / columns * 2 - 1)[None]
    return x, ((torch.arange(rows, device=device) + 0.5) / rows * 2 - 1)[:, None]


def _filled(place: Tensor, reach: int) -> Tensor:
    """Return the map without the gaps between teeth."""
    wide = F.max_pool2d(place, 2 * reach + 1, 1, reach)
    return -F.max_pool2d(-wide, 2 * reach + 1, 1, reach)


def _of_lips(green: Tensor, points: Tensor) -> Tensor:
    """Return how much green over red the lips have, at most .9: of a map [1, 1, rows, columns], with landmarks [68,
    2]."""
    between = torch.stack([(points[a] + points[b]) / 2 for a, b in _LIPS])[None, None]
    return F.grid_sample(green, between, align_corners=False).flatten().sort().values[1].clamp(0.3, 0.9)


def _around(lips: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return 1 between the inner lips [8, 2], falling to 0 around them and below upper teeth, [1, 1, rows, columns]."""
    upper, lower = lips[[0, 1, 2, 3, 4]], lips[[0, 7, 6, 5, 4]]
    top, bottom = _line(upper, x), _line(lower, x)
    out = torch.maximum(top - y, y - bottom).clamp_min(0)
    beside = torch.maximum(lips[0, 0] - x, x - lips[4, 0]).clamp_min(0)
    near = (1.5 - torch.sqrt(out**2 + (3 * beside) ** 2) / _NEAR).clamp(0, 1)
    return (near * ((_BELOW_LIP - (y - top)) / 0.05).clamp(0, 1))[None, None]


def _line(points: Tensor, x: Tensor) -> Tensor:
    """Return the y [1, columns] of the line through `points` [5, 2] at x [1, columns]; beyond its ends it is flat."""
    places = torch.cummax(points[:, 0], 0).values + 1e-4 * torch.arange(len(points), device=x.device)
    after = torch.searchsorted(places, x[0].contiguous()).clamp(1, len(points) - 1)
    part = ((x[0] - places[after - 1]) / (places[after] - places[after - 1])).clamp(0, 1)
    return (points[after - 1, 1] + part * (points[after, 1] - points[after - 1, 1]))[None]


def _rise(value: Tensor, low: float, high: float) -> Tensor:
    part = ((value - low) / (high - low)).clamp(0, 1)
    return part * part * (3 - 2 * part)
