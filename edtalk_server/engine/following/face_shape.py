"""What a face does, measured on its landmarks: how far lids are open, brows raised and the mouth drawn, each in
units of the face itself, so that it does not depend on where the face is and how large."""

from __future__ import annotations

import torch
from torch import Tensor

MEASURES = {
    "right_lids": 0.012,
    "left_lids": 0.012,
    "right_brow_outer": 0.008,
    "right_brow_inner": 0.008,
    "left_brow_inner": 0.008,
    "left_brow_outer": 0.008,
    "brows_apart": 0.01,
    "mouth_width": 0.005,
    "mouth_opening": 0.012,
    "corners": 0.01,
}
"""Names of what `shape_of` measures, in its order, and by how much a measure of a filmed face is usually off."""
UPPER_MEASURES = (*MEASURES,)[:7]
"""Those of lids and brows."""

_RIGHT_EYE, _LEFT_EYE = 36, 42
_INNER_CORNERS, _OUTER_CORNERS = (39, 42), (36, 45)
_BROWS = ((17, 18, 19), (20, 21), (22, 23), (24, 25, 26))


def shape_of(points: Tensor) -> Tensor:
    """Return the measures of landmarks [B, 68, 2] (Multi-PIE order), [B, len(MEASURES)].

    Lids are the opening of an eye over its width; all else is in distances of the outer corners of the eyes. Brows
    are heights over the line through these, `corners` how far the corners of the mouth lie above its middle.
    """
    right, left = (points[:, corner] for corner in _OUTER_CORNERS)
    eyes = (left - right).norm(dim=1, keepdim=True).clamp_min(1e-3)
    across = (left - right) / eyes
    up = torch.stack([across[:, 1], -across[:, 0]], 1)

    def height(marks: tuple[int, ...], over: Tensor) -> Tensor:
        return (((points[:, list(marks)].mean(1) - over) * up).sum(1, keepdim=True)) / eyes

    def apart(a: int, b: int) -> Tensor:
        return (points[:, a] - points[:, b]).norm(dim=1, keepdim=True) / eyes

    middle = (left + right) / 2
    return torch.cat(
        [
            *(_opening(points[:, eye : eye + 6]) for eye in (_RIGHT_EYE, _LEFT_EYE)),
            *(height(brow, middle) for brow in _BROWS),
            apart(21, 22),
            apart(48, 54),
            apart(62, 66),
            height((48, 54), points[:, [51, 57]].mean(1)),
        ],
        1,
    )


def _opening(eye: Tensor) -> Tensor:
    """Return how far an eye's lids are apart, in its widths, of its landmarks [B, 6, 2], [B, 1]."""
    over, under = eye[:, 1:3], eye[:, [5, 4]]
    width = (eye[:, 3] - eye[:, 0]).norm(dim=1, keepdim=True).clamp_min(1e-3)
    return (over - under).norm(dim=2).mean(1, keepdim=True) / width
