"""The z-buffer for many frames at once, in plain torch on any device.

Every triangle is spread over the pixels of its bounding box (its fragments), and each pixel keeps the largest key of
depth and triangle, which `scatter_reduce` finds in any order: the result does not depend on how fragments are split or
scheduled. Fragments are made and used up in bounded portions.

Screen positions are [B, V, 3] as in `raster.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

EMPTY_DEPTH = -1e9
_EMPTY_KEY = torch.iinfo(torch.int64).min
_LAST = 2**31 - 1
_SIGNLESS = 0x7FFFFFFF


class Surface(NamedTuple):
    """Triangles [T, 3] int64 of all frames, and whether each is seen from both sides [T]."""

    triangles: Tensor
    two_sided: Tensor


class _Boxes(NamedTuple):
    """Triangles that may cover pixels, one column each."""

    frame: Tensor
    triangle: Tensor
    corners: Tensor
    """[9, N]: x, y, z of the three corners."""
    area: Tensor
    """[N] twice the signed area; negative faces the viewer."""
    left: Tensor
    top: Tensor
    columns: Tensor
    pixels: Tensor
    """[N] of the bounding box."""


def _boxes(screen: Tensor, surface: Surface, side: int) -> _Boxes:
    """All triangles that face the viewer (or are two-sided) and whose bounding box holds a pixel centre."""
    corners = screen[:, surface.triangles]  # [B, T, 3 corners, 3]
    x, y = corners[..., 0], corners[..., 1]
    area = (x[..., 1] - x[..., 0]) * (y[..., 2] - y[..., 0]) - (x[..., 2] - x[..., 0]) * (
        y[..., 1] - y[..., 0]
    )
    left, right = _span(x, side)
    top, bottom = _span(y, side)
    drawn = (area <= -1e-9) | (surface.two_sided & (area >= 1e-9))
    frame, triangle = (drawn & (left <= right) & (top <= bottom)).nonzero(as_tuple=True)
    kept = frame, triangle
    columns = right[kept] - left[kept] + 1
    return _Boxes(
        frame,
        triangle,
        corners[kept].flatten(1).T.contiguous(),
        area[kept],
        left[kept],
        top[kept],
        columns,
        columns * (bottom[kept] - top[kept] + 1),
    )


def _span(values: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """First and last pixel, int32, whose centre lies between the corners' `values` [..., 3]."""
    low = (values.amin(-1) - 0.5).ceil().clamp(0, side)
    high = (values.amax(-1) - 0.5).floor().clamp(-1, side - 1)
    return low.int(), high.int()


def _portions(pixels: Tensor, most: int) -> list[tuple[int, int, int]]:
    """Ranges (first, last, fragments) of boxes with about `most` fragments together."""
    if not len(pixels):
        return []
    ends = pixels.cumsum(0)
    total = int(ends[-1])
    cuts = torch.arange(most, max(total, most), most, device=pixels.device)
    stops = [*torch.searchsorted(ends, cuts, right=True).tolist(), len(pixels)]
    starts = [0, *stops[:-1]]
    return [
        (start, stop, int(pixels[start:stop].sum()))
        for start, stop in zip(starts, stops, strict=True)
        if stop > start
    ]


def _fragments(screen: Tensor, surface: Surface, side: int, most: int) -> Iterator[tuple[Tensor, ...]]:
    """Portions of (pixel [F] counted through all frames, depth [F], triangle [F]) of covered pixel centres."""
    boxes = _boxes(screen, surface, side)
    for start, stop, total in _portions(boxes.pixels, most):
        part = _Boxes(*(values[..., start:stop] for values in boxes))
        box = torch.repeat_interleave(part.pixels, output_size=total)
        first = part.pixels.cumsum(0) - part.pixels
        place = (torch.arange(total, device=box.device) - first[box]).int()
        columns = part.columns[box]
        row = torch.div(place, columns, rounding_mode="trunc")
        x, y = part.left[box] + (place - row * columns), part.top[box] + row
        inside, depth = _cover(part, box, x + 0.5, y + 0.5)
        chosen = inside.nonzero()[:, 0]
        box = box[chosen]
        pixel = (part.frame[box] * side + y[chosen]) * side + x[chosen]
        yield pixel, depth[chosen], part.triangle[box]


def _cover(part: _Boxes, box: Tensor, px: Tensor, py: Tensor) -> tuple[Tensor, Tensor]:
    """Which fragments lie inside their triangle, and their depth."""
    x0, y0, z0, x1, y1, z1, x2, y2, z2 = part.corners.index_select(1, box).unbind()
    x0, x1, x2 = x0 - px, x1 - px, x2 - px
    y0, y1, y2 = y0 - py, y1 - py, y2 - py
    inverse = part.area.reciprocal()[box]
    w0 = (x1 * y2 - x2 * y1) * inverse
    w1 = (x2 * y0 - x0 * y2) * inverse
    w2 = 1 - w0 - w1
    return (w0 >= 0) & (w1 >= 0) & (w2 >= 0), w0 * z0 + w1 * z1 + w2 * z2


def _pack(depth: Tensor, triangle: Tensor) -> Tensor:
    """Keys that sort by depth, and for equal depth by descending triangle, so that the first one drawn wins."""
    bits = depth.view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ _SIGNLESS, bits)  # floats below zero sort backwards as integers
    return (ordered.long() << 32) | (_LAST - triangle)


def _unpack(key: Tensor) -> tuple[Tensor, Tensor]:
    bits = (key >> 32).int()
    depth = torch.where(bits < 0, bits ^ _SIGNLESS, bits).view(torch.float32)
    return depth, (_LAST - (key & 0xFFFFFFFF)).int()


def rasterise(screen: Tensor, surface: Surface, side: int, most: int) -> tuple[Tensor, Tensor]:
    """Depth [B, side, side] float32 and triangle ids [B, side, side] int32, -1 for background.

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
    """Depth [B, side, side] alone."""
    frames = len(screen)
    nearest = screen.new_full((frames * side * side,), EMPTY_DEPTH)
    for pixel, depth, _ in _fragments(screen, surface, side, most):
        nearest.scatter_reduce_(0, pixel, depth, "amax")
    return nearest.view(frames, side, side)


def blend(values: Tensor, corners: Tensor, mix: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Vertex values [B * vertices, C] at the points that `corners` [3, B, N] and weights `mix` name, [B, N, C]."""
    a, b, c = (values[row] * weight[..., None] for row, weight in zip(corners, mix, strict=True))
    return a + b + c


def corners_of(ids: Tensor, surface: Surface, vertices: int) -> Tensor:
    """Rows [3, B, N] of the corners of triangles `ids` [B, N] in vertex values [B * vertices, ...]. Background gets the
    corners of triangle 0."""
    offset = torch.arange(len(ids), device=ids.device)[:, None] * vertices
    return surface.triangles.T[:, ids.clamp(min=0)] + offset


def barycentric(screen: Tensor, corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights [B, N] of the three `corners` [3, B, N] at the points x, y [N] of the screen [B, V, 3]."""
    at_x, at_y = (screen[..., axis].flatten()[corners] for axis in (0, 1))
    (x0, x1, x2), (y0, y1, y2) = at_x - x, at_y - y
    inverse = ((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)).reciprocal()
    w0, w1 = (x1 * y2 - x2 * y1) * inverse, (x2 * y0 - x0 * y2) * inverse
    return w0, w1, 1 - w0 - w1
