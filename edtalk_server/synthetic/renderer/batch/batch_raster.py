"""The z-buffer for many frames at once, in plain torch on any device.

Every triangle is spread over the pixels of its bounding box (its fragments), and each pixel keeps the largest key of
depth and triangle, which `scatter_reduce` finds in any order: the result does not depend on how fragments are split or
scheduled. Fragments are made and used up in bounded portions.

Screen positions are [B, V, 3] as in `raster.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

EMPTY_DEPTH = -1e9
_EMPTY_KEY = torch.iinfo(torch.int64).min
_LAST = 2**31 - 1
_SIGNLESS = 0x7FFFFFFF
_THIN = 1e-9
"""Triangles of less than half this many square pixels are not drawn."""
_EDGE = 1e-6
"""Pixel centres so near outside an edge still count as inside, so that rounding opens no gap between neighbours."""

Corners = tuple[Tensor, ...]


class Surface(NamedTuple):
    """Triangles [T, 3] int64 of all frames, and whether each is seen from both sides [T]."""

    triangles: Tensor
    two_sided: Tensor


class _Boxes(NamedTuple):
    """Triangles that may cover pixels, one column each, with the first pixel of their bounding box."""

    plane: Tensor
    """[9, N]: weight of the first corner, of the second, and depth, each as its value at the first pixel and its steps
    from column to column and from row to row."""
    triangle: Tensor
    first: Tensor
    """[N] first pixel, counted through all frames."""
    columns: Tensor
    """[N] int32 width of the box."""
    pixels: Tensor
    """[N] int32 pixels of the box."""


def _boxes(screen: Tensor, surface: Surface, side: int) -> _Boxes:
    """Return all triangles that face the viewer (or are two-sided) and whose bounding box holds a pixel centre."""
    x, y = screen[:, surface.triangles, 0], screen[:, surface.triangles, 1]  # [B, T, 3 corners]
    area = _area(x, y)
    left, right = _span(x, side)
    top, bottom = _span(y, side)
    drawn = (area <= -_THIN) | (surface.two_sided & (area >= _THIN))
    frame, triangle = (drawn & (left <= right) & (top <= bottom)).nonzero(as_tuple=True)
    index = frame, triangle
    left, top = left[index], top[index]
    columns, rows = right[index] - left + 1, bottom[index] - top + 1
    x, y = x[index] - (left[:, None] + 0.5), y[index] - (top[:, None] + 0.5)
    depth = screen[..., 2][frame[:, None], surface.triangles[triangle]]
    plane = _plane(x.unbind(-1), y.unbind(-1), depth.unbind(-1), area[index].reciprocal())
    return _Boxes(plane, triangle, (frame * side + top) * side + left, columns, columns * rows)


def _area(x: Tensor, y: Tensor) -> Tensor:
    """Return twice the signed area of triangles with corners at `x`, `y` [..., 3]; negative faces the viewer."""
    x0, x1, x2 = x.unbind(-1)
    y0, y1, y2 = y.unbind(-1)
    return (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)


def _plane(x: Corners, y: Corners, z: Corners, inverse: Tensor) -> Tensor:
    """Return `_Boxes.plane` of corners relative to the box's first pixel centre."""
    w0 = (x[1] * y[2] - x[2] * y[1]) * inverse
    w1 = (x[2] * y[0] - x[0] * y[2]) * inverse
    right0, right1 = (y[1] - y[2]) * inverse, (y[2] - y[0]) * inverse
    down0, down1 = (x[2] - x[1]) * inverse, (x[0] - x[2]) * inverse
    near, far = z[0] - z[2], z[1] - z[2]
    depth = z[2] + w0 * near + w1 * far
    slopes = right0 * near + right1 * far, down0 * near + down1 * far
    return torch.stack([w0, right0, down0, w1, right1, down1, depth, *slopes])


def _span(values: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return first and last pixel, int32, whose centre lies between the corners' `values` [..., 3]."""
    low = (values.amin(-1) - 0.5).ceil().clamp(0, side)
    high = (values.amax(-1) - 0.5).floor().clamp(-1, side - 1)
    return low.int(), high.int()


def _portions(pixels: Tensor, most: int) -> Iterator[slice]:
    """Yield ranges of boxes with about `most` fragments together."""
    ends = pixels.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    cuts = torch.arange(most, max(total, most), most, device=pixels.device)
    stops = [*torch.searchsorted(ends, cuts, right=True).tolist(), len(pixels)]
    for start, stop in pairwise([0, *stops]):
        if stop > start:
            yield slice(start, stop)


def _fragments(screen: Tensor, surface: Surface, side: int, most: int) -> Iterator[tuple[Tensor, ...]]:
    """Yield portions of covered pixel centres: (pixel [F] counted through all frames, depth [F], triangle [F])."""
    boxes = _boxes(screen, surface, side)
    for portion in _portions(boxes.pixels, most):
        part = _Boxes(*(values[..., portion] for values in boxes))
        box, column, row = _spread(part)
        first, right, down = part.plane[0:3].index_select(1, box)
        w0 = first.addcmul_(right, column).addcmul_(down, row)
        first, right, down = part.plane[3:6].index_select(1, box)
        w1 = first.addcmul_(right, column).addcmul_(down, row)
        inside = (torch.minimum(w0, w1) >= -_EDGE) & (w0 + w1 <= 1 + _EDGE)
        chosen = inside.nonzero()[:, 0]
        box, column, row = box[chosen], column[chosen], row[chosen]
        depth, right, down = part.plane[6:9].index_select(1, box)
        depth.addcmul_(right, column).addcmul_(down, row)
        pixel = part.first[box] + (row.long() * side + column.long())
        yield pixel, depth, part.triangle[box]


def _spread(boxes: _Boxes) -> tuple[Tensor, Tensor, Tensor]:
    """Return all pixels of all boxes: number of the box [F] int32, and column and row in it as floats."""
    ends = boxes.pixels.cumsum(0)
    total = int(ends[-1])
    numbers = torch.arange(len(ends), dtype=torch.int32, device=ends.device)
    box = torch.repeat_interleave(numbers, boxes.pixels, output_size=total)
    before = (ends - boxes.pixels).int().index_select(0, box)
    place = torch.arange(total, dtype=torch.int32, device=box.device) - before
    columns = boxes.columns.index_select(0, box)
    row = torch.div(place, columns, rounding_mode="trunc")
    return box, (place - row * columns).float(), row.float()


def _pack(depth: Tensor, triangle: Tensor) -> Tensor:
    """Return keys that sort by depth, and for equal depth by descending triangle, so that the first one drawn wins."""
    bits = depth.view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ _SIGNLESS, bits)  # floats below zero sort backwards as integers
    return (ordered.long() << 32) | (_LAST - triangle)


def _unpack(key: Tensor) -> tuple[Tensor, Tensor]:
    bits = (key >> 32).int()
    depth = torch.where(bits < 0, bits ^ _SIGNLESS, bits).view(torch.float32)
    return depth, (_LAST - (key & 0xFFFFFFFF)).int()


def rasterise(screen: Tensor, surface: Surface, side: int, most: int) -> tuple[Tensor, Tensor]:
    """Return the depth [B, side, side] float32 and triangle ids [B, side, side] int32, -1 for background.

    At most about `most` fragments are held at a time.
    """
    frames = len(screen)
    keys = torch.full((frames * side * side,), _EMPTY_KEY, dtype=torch.int64, device=screen.device)
    for pixel, depth, triangle in _fragments(screen, surface, side, most):
        keys.scatter_reduce_(0, pixel, _pack(depth, triangle), "amax")
    depth, ids = _unpack(keys)
    empty = keys == _EMPTY_KEY
    shape = (frames, side, side)
    return depth.masked_fill_(empty, EMPTY_DEPTH).view(shape), ids.masked_fill_(empty, -1).view(shape)


def depth_map(screen: Tensor, surface: Surface, side: int, most: int) -> Tensor:
    """Return the depth [B, side, side] alone."""
    frames = len(screen)
    nearest = screen.new_full((frames * side * side,), EMPTY_DEPTH)
    for pixel, depth, _ in _fragments(screen, surface, side, most):
        nearest.scatter_reduce_(0, pixel, depth, "amax")
    return nearest.view(frames, side, side)


def blend(values: Tensor, corners: Tensor, mix: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return vertex values [B * vertices, C] at the points that `corners` [3, B, N] and weights `mix` name, [B, N,
    C]."""
    a, b, c = (values[row] * weight[..., None] for row, weight in zip(corners, mix, strict=True))
    return a + b + c


def corners_of(ids: Tensor, surface: Surface, vertices: int) -> Tensor:
    """Return rows [3, B, N] of the corners of triangles `ids` [B, N] in vertex values [B * vertices, ...]. Background
    gets the corners of triangle 0."""
    offset = torch.arange(len(ids), device=ids.device)[:, None] * vertices
    return surface.triangles.T[:, ids.clamp(min=0)] + offset


def barycentric(screen: Tensor, corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights [B, N] of the three `corners` [3, B, N] at the points x, y [N] of the screen [B, V, 3]."""
    at_x, at_y = (screen[..., axis].flatten()[corners] for axis in (0, 1))
    (x0, x1, x2), (y0, y1, y2) = at_x - x, at_y - y
    inverse = ((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)).reciprocal()
    w0, w1 = (x1 * y2 - x2 * y1) * inverse, (x2 * y0 - x0 * y2) * inverse
    return w0, w1, 1 - w0 - w1
