"""Place the boxes in which mouth and eyes are painted finely: they follow the head.

A box turns and grows with the head but not with what the face does: it hangs on the corners of the eyes and the base of
the nose, so that lips and lids move inside it. Points are x, y in 0..1 of the picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ANCHORS = (36, 39, 42, 45, 31, 33, 35)
"""Landmarks that only the head moves: outer and inner corners of the eyes (picture's left first), base of the nose."""

_BETWEEN_EYES_TO_NOSE = 1.37
"""Distance of the eyes from each other over the distance of their middle from the base of the nose, in the template."""

MOUTH_SIZE = (72, 88)
"""Rows and columns of a mouth's box."""
EYE_SIZE = (32, 48)
"""Rows and columns of an eye's box."""
_UNIT = 59.0
"""Pixels between the eyes of a face in the template's crop of 256 pixels; boxes are given in such pixels."""
_MOUTH_BELOW_NOSE = 34.0 / _UNIT
_EYE_ABOVE_CORNERS = 2.0 / _UNIT


class Boxes(NamedTuple):
    """Rectangles upright with the head: `centre` [B, 2] and `across` [B, 2], the way from the centre to the middle of
    the right side; the way down is `across` turned by 90 degrees, as long as the box's size says."""

    centre: Tensor
    across: Tensor


class FaceBoxes(NamedTuple):
    """The boxes of B faces; "left" is the picture's left."""

    mouth: Boxes
    left_eye: Boxes
    right_eye: Boxes


def face_boxes(anchors: Tensor) -> FaceBoxes:
    """Return the boxes of faces from their anchor points [B, 7, 2]."""
    left, right = anchors[:, 0:2].mean(1), anchors[:, 2:4].mean(1)
    middle, nose = (left + right) / 2, anchors[:, 5]
    between = right - left
    apart = between.norm(dim=1, keepdim=True).clamp_min(1e-3)
    below = (nose - middle).norm(dim=1, keepdim=True)
    unit = (apart + _BETWEEN_EYES_TO_NOSE * below) / 2
    way = between / apart
    down = torch.stack([-way[:, 1], way[:, 0]], 1)
    scale = way * unit / (2 * _UNIT)
    return FaceBoxes(
        Boxes(nose + down * unit * _MOUTH_BELOW_NOSE, scale * MOUTH_SIZE[1]),
        Boxes(left - down * unit * _EYE_ABOVE_CORNERS, scale * EYE_SIZE[1]),
        Boxes(right - down * unit * _EYE_ABOVE_CORNERS, scale * EYE_SIZE[1]),
    )


def box_points(boxes: Boxes, size: tuple[int, int]) -> Tensor:
    """Return where the pixels of boxes of `size` (rows, columns) lie in the picture, [B, rows, columns, 2]."""
    rows, columns = size
    device = boxes.centre.device
    across = (torch.arange(columns, device=device) + 0.5) / columns * 2 - 1
    down = ((torch.arange(rows, device=device) + 0.5) / rows * 2 - 1) * (rows / columns)
    u = boxes.across[:, None, None]
    v = torch.stack([-u[..., 1], u[..., 0]], -1)
    return boxes.centre[:, None, None] + across[None, None, :, None] * u + down[None, :, None, None] * v


def cut_boxes(pictures: Tensor, boxes: Boxes, size: tuple[int, int]) -> Tensor:
    """Sample [B, C, n, n] pictures in the boxes, [B, C, rows, columns] float32."""
    points = box_points(boxes, size) * 2 - 1
    return F.grid_sample(pictures.float(), points, padding_mode="border", align_corners=False)


def box_coordinates(boxes: Boxes, points: Tensor, size: tuple[int, int]) -> Tensor:
    """Return points of the picture [B, ..., 2] in the boxes' coordinates, -1..1 from side to side and top to bottom."""
    shape = (len(points), *(1,) * (points.dim() - 2), 2)
    u = boxes.across.reshape(shape)
    offset = points - boxes.centre.reshape(shape)
    length = (u * u).sum(-1).clamp_min(1e-8)
    x = (offset * u).sum(-1) / length
    y = (offset[..., 1] * u[..., 0] - offset[..., 0] * u[..., 1]) / length
    return torch.stack([x, y * (size[1] / size[0])], -1)


def paste_grid(boxes: Boxes, size: tuple[int, int], side: int) -> tuple[slice, slice, Tensor]:
    """Return the rows and columns of pictures of `side` pixels in which all boxes lie, and the coordinates of their
    pixels in each box, [B, rows, columns, 2], beyond 1 outside it. No pixel where all boxes lie outside the
    picture."""
    u = boxes.across.abs()
    v = u.flip(1) * (size[0] / size[1])
    low = ((boxes.centre - u - v).amin(0) * side - 1).floor().clamp(0, side).int().tolist()
    high = ((boxes.centre + u + v).amax(0) * side + 1).ceil().clamp(0, side).int().tolist()
    device = boxes.centre.device
    x = (torch.arange(low[0], max(high[0], low[0]), device=device) + 0.5) / side
    y = (torch.arange(low[1], max(high[1], low[1]), device=device) + 0.5) / side
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).expand(len(boxes.centre), -1, -1, -1)
    where = slice(low[1], low[1] + len(y)), slice(low[0], low[0] + len(x))
    return *where, box_coordinates(boxes, points, size)


def follow(points: Tensor, flow: Tensor, rounds: int = 6) -> Tensor:
    """Return where points [B, P, 2] of the source lie in pictures that were moved by the backward `flow` [B, 2, n,
    n]."""
    moved = points
    for _ in range(rounds):
        step = F.grid_sample(
            flow.float(), (moved * 2 - 1)[:, None], padding_mode="border", align_corners=False
        )
        moved = points - step[:, :, 0].transpose(1, 2) / 2
    return moved
