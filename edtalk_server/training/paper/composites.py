"""Mouth swaps on filmed pictures: one face with another's mouth pasted in (paper section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

RIGHT_EYE, LEFT_EYE, MOUTH, INNER_LIPS = slice(36, 42), slice(42, 48), slice(48, 68), slice(60, 68)
_MARGIN = 0.02  # of the picture's width: 5 pixels of 256, as in the release
_FADE = 0.02  # width of the box's soft edge, in parts of the picture


class _Similarity(NamedTuple):
    """x -> factor * (x - from_point) + to_point, points as complex numbers [B]."""

    factor: Tensor
    from_point: Tensor
    to_point: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """Map complex points [B, N]."""
        return self.factor[:, None] * (points - self.from_point[:, None]) + self.to_point[:, None]

    def inverse(self) -> _Similarity:
        return _Similarity(1 / self.factor, self.to_point, self.from_point)


def paste_mouths(faces: Tensor, landmarks: Tensor, others: Tensor, other_landmarks: Tensor) -> Tensor:
    """Return `faces` [B, 3, S, S] with the mouths of `others`; landmarks [B, 68, 2] in 0..1.

    The other picture is moved, turned and scaled so that its eyes and lips fit the face's best and the lips' centres
    coincide; then the box of the mouth is taken from it, with a soft edge. Pose and framing stay the face's.
    """
    own, other = _as_complex(landmarks), _as_complex(other_landmarks)
    to_other = _fit(own, other)
    moved = _sampled(others, to_other)
    mouths = torch.cat([own[:, MOUTH], to_other.inverse().apply(other[:, MOUTH])], dim=1)
    cover = _soft_box(mouths, faces.shape[-1])
    return faces * (1 - cover) + moved * cover


def _as_complex(points: Tensor) -> Tensor:
    return torch.complex(points[..., 0].float(), points[..., 1].float())


def _fit(own: Tensor, other: Tensor) -> _Similarity:
    """Fit by least squares over the centres of both eyes and of the inner lips, then move to make the lips coincide."""
    parts = (RIGHT_EYE, LEFT_EYE, INNER_LIPS)
    a, b = (torch.stack([points[:, part].mean(1) for part in parts], dim=1) for points in (own, other))
    from_middle, to_middle = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    spread = from_middle.abs().square().sum(1).clamp(min=1e-8)
    factor = (to_middle * from_middle.conj()).sum(1) / spread
    return _Similarity(factor, a[:, 2], b[:, 2])


def _sampled(pictures: Tensor, to_other: _Similarity) -> Tensor:
    batch, _, size, _ = pictures.shape
    line = (torch.arange(size, device=pictures.device) + 0.5) / size
    y, x = torch.meshgrid(line, line, indexing="ij")
    places = to_other.apply(torch.complex(x, y).flatten()[None].expand(batch, -1)).unflatten(1, (size, size))
    grid = torch.stack([places.real, places.imag], dim=-1) * 2 - 1
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _soft_box(points: Tensor, size: int) -> Tensor:
    """Return [B, 1, size, size]: 1 in the box around complex points [B, N] and its margin, falling to 0 outside."""
    line = (torch.arange(size, device=points.device) + 0.5) / size
    across, down = (_soft_interval(axis, line) for axis in (points.real, points.imag))
    return (down[:, :, None] * across[:, None, :])[:, None]


def _soft_interval(values: Tensor, line: Tensor) -> Tensor:
    low, high = values.amin(1, keepdim=True) - _MARGIN, values.amax(1, keepdim=True) + _MARGIN
    outside = torch.maximum(low - line, line - high)
    return (1 - outside / _FADE).clamp(0, 1)
