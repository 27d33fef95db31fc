"""One corner of the mouth that rises alone, and a nose that wrinkles: what contempt and disgust are known by.

Smooth fields move the skin around each corner and around the wings of the nose; folds beside the nose and over its root
darken. Coordinates are the head's, as in `brows`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edtalk_server.networks.upper_face.fit import Eye, down_of
from edtalk_server.networks.upper_face.region import SkinRegion, rows_and_columns, smooth

CORNERS, WINGS = (48, 54), (31, 35)
"""Landmarks, on the picture's left and right."""
_UP, _OUT = 0.095, 0.02
_CORNER_REACH, _LIPS_REACH, _CORNER_WHOLE = 0.36, 0.6, 0.28
"""How far a corner's field reaches, and how far along the lips, which must bend and not break; and the part of it that
moves whole."""
_WINGS_UP, _WINGS_REACH = 0.068, 0.3
_FOLD_DEPTH, _ROOT_DEPTH = 0.15, 0.06
_LAUGH_BLUR, _LAUGH_BAND = 0.13, 0.18
"""Reach of the neighbourhood that fills the folds of a laugh, and half the width of the band in which they lie."""


def prepare_midface(photo: Tensor, eyes: tuple[Eye, Eye], landmarks: Tensor) -> SkinRegion | None:
    """Prepare the middle of the face of a photo [1, 3, n, n] with `landmarks` [68, 2]: fields of its left and right
    corner and of the nose. None where it lies outside the picture."""
    side = photo.shape[-1]
    middle, across = (eyes[0].origin + eyes[1].origin) / 2, eyes[1].origin - eyes[0].origin
    down, unit = down_of(across), float(across.norm())
    chosen = landmarks[[*CORNERS, *WINGS]]
    bounds = torch.cat([chosen - 0.45 * unit, chosen + 0.45 * unit, middle[None]])
    found = rows_and_columns(bounds, side)
    if found is None:
        return None
    rows, columns = found
    line_x, line_y = (
        (torch.arange(part.start, part.stop, device=photo.device) + 0.5) / side for part in (columns, rows)
    )
    places = torch.stack(torch.meshgrid(line_x, line_y, indexing="xy"))

    def own(points: Tensor) -> Tensor:
        offset = (points - middle) / unit**2
        return torch.stack([offset @ across, offset @ down], -1)

    head = own(places.permute(1, 2, 0)).permute(2, 0, 1)
    corners, wings = own(chosen[:2]), own(chosen[2:])
    fields = torch.stack([*(_corner(head, corner) for corner in corners), _wings(head, wings)])
    moved = fields[:, :1] * across[:, None, None] + fields[:, 1:] * down[:, None, None]
    folds = torch.maximum(*(_beside(head, wing, corner) for wing, corner in zip(wings, corners, strict=True)))
    return SkinRegion(rows, columns, places, moved, torch.maximum(folds, _root(head)))


def laugh_folds(photo: Tensor, eyes: tuple[Eye, Eye], landmarks: Tensor, region: SkinRegion) -> Tensor:
    """Return by how much lighter the region of a photo is without the folds that a laugh draws from the wings of the
    nose around the corners of the mouth, [1, 3, h, w]: valleys that are darker than what lies around them."""
    middle, across = (eyes[0].origin + eyes[1].origin) / 2, eyes[1].origin - eyes[0].origin
    unit, down = float(across.norm()), down_of(across)
    offset = (region.places - middle[:, None, None]) / unit**2
    head = torch.stack([(offset * way[:, None, None]).sum(0) for way in (across, down)])
    points = (landmarks[[*WINGS, *CORNERS]] - middle) / unit**2
    wings, corners = torch.stack([points @ across, points @ down], -1).split(2)
    part = photo[:, :, region.rows, region.columns].float()
    reach = max(1, round(_LAUGH_BLUR * unit * photo.shape[-1]))
    around = F.avg_pool2d(F.pad(part, (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)
    band = torch.maximum(
        *(_laugh_band(head, wing, corner) for wing, corner in zip(wings, corners, strict=True))
    )
    return (around - part).clamp_min(0) * band


def _laugh_band(head: Tensor, wing: Tensor, corner: Tensor) -> Tensor:
    """Return 1 where a laugh folds the cheek on one side and 0 far from there and on the lips, [h, w]."""
    side = corner[0].sign()
    out = torch.stack([side, 0 * side])
    stops = (
        wing + 0.1 * out,
        corner + 0.2 * out,
        corner + 0.14 * out + torch.stack([0 * side, 0 * side + 0.25]),
    )
    away = torch.minimum(_away(head, stops[0], stops[1]), _away(head, stops[1], stops[2]))
    lips = smooth((head[0] - corner[0]) * side, 0.02, 0.08)
    lips = torch.maximum(lips, smooth((head[1] - corner[1]).abs(), 0.12, 0.2))
    return smooth(away, _LAUGH_BAND, 0.5 * _LAUGH_BAND) * lips


def _away(head: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return the distance from the way between two points, [h, w]."""
    way, offset = end - start, head - start[:, None, None]
    along = ((offset * way[:, None, None]).sum(0) / (way @ way).clamp_min(1e-6)).clamp(0, 1)
    return (offset - along * way[:, None, None]).norm(dim=0)


def _near(head: Tensor, point: Tensor, reach: float) -> Tensor:
    return smooth((head - point[:, None, None]).norm(dim=0), reach, 0.1 * reach)


def _corner(head: Tensor, corner: Tensor) -> Tensor:
    """Return where skin comes from when a corner rises and goes outwards, [2, h, w]."""
    x, y = head - corner[:, None, None]
    inwards = x * corner[0].sign() < 0
    along = x / torch.where(inwards, _LIPS_REACH, _CORNER_REACH)
    near = smooth((along.square() + (y / _CORNER_REACH).square()).sqrt(), 1.0, _CORNER_WHOLE)
    return torch.stack([-_OUT * corner[0].sign() * near, _UP * near])


def _wings(head: Tensor, wings: Tensor) -> Tensor:
    """Return where skin comes from when the wings of the nose rise, [2, h, w]."""
    near = torch.maximum(_near(head, wings[0], _WINGS_REACH), _near(head, wings[1], _WINGS_REACH))
    return torch.stack([torch.zeros_like(near), _WINGS_UP * near])


def _beside(head: Tensor, wing: Tensor, corner: Tensor) -> Tensor:
    """Return the fold from a wing of the nose towards the corner of the mouth, [h, w]."""
    start = wing + torch.stack([0.05 * wing[0].sign(), wing[1] * 0 - 0.05])
    end = corner + torch.stack([0.06 * corner[0].sign(), corner[1] * 0 - 0.12])
    way = end - start
    offset = head - start[:, None, None]
    along = ((offset * way[:, None, None]).sum(0) / (way @ way)).clamp(0, 1)
    away = (offset - along * way[:, None, None]).norm(dim=0)
    return _FOLD_DEPTH * (-((away / 0.035) ** 2)).exp() * smooth(along, 0.0, 0.2) * smooth(along, 1.0, 0.5)


def _root(head: Tensor) -> Tensor:
    """Return two wrinkles across the root of the nose, [h, w]."""
    x, y = head
    lines = sum((-(((y - at - 0.5 * x.abs()) / 0.018) ** 2)).exp() for at in (0.05, 0.12))
    return _ROOT_DEPTH * lines * smooth(x.abs(), 0.14, 0.05)
