"""Makes renders look like photographs: colour, light, focus, noise, compression, things in front of the face.

Pictures are [B, 3, n, n] in [0, 1]. Random numbers come from torch's generator, seeded at each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor


def _uniform(like: Tensor, low: float, high: float) -> Tensor:
    """Return one random number for each picture, [B, 1, 1, 1]."""
    return torch.rand(len(like), 1, 1, 1, device=like.device) * (high - low) + low


def sometimes(images: Tensor, change: Callable[[Tensor], Tensor], share: float) -> Tensor:
    """Apply `change` to a random share of the batch only (the others cost nothing)."""
    chosen = torch.rand(len(images), device=images.device) < share
    if not bool(chosen.any()):
        return images
    out = images.clone()
    out[chosen] = change(images[chosen])
    return out


def recolour(*views: Tensor) -> tuple[Tensor, ...]:
    """Change gamma, gain, tint and offset, sometimes remove the colour: the same for all views of one face."""
    first, count, device = views[0], len(views[0]), views[0].device
    gamma = torch.exp(torch.randn(count, 1, 1, 1, device=device) * 0.25)
    tint = (1 + 0.08 * torch.randn(count, 3, 1, 1, device=device)).clamp(0.75, 1.25)
    gain, offset = _uniform(first, 0.7, 1.3) * tint, _uniform(first, -0.08, 0.08)
    grey = torch.rand(count, 1, 1, 1, device=device) < 0.1
    out = []
    for view in views:
        x = (view.clamp(1e-4, 1) ** gamma * gain + offset).clamp(0, 1)
        out.append(torch.where(grey, x.mean(1, keepdim=True), x))
    return tuple(out)


def blur(images: Tensor) -> Tensor:
    """Put the lens a little out of focus: the binomial 3x3 filter, twice."""
    line = torch.tensor([0.25, 0.5, 0.25], device=images.device)
    kernel = torch.outer(line, line).expand(images.shape[1], 1, 3, 3)
    for _ in range(2):
        images = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=images.shape[1])
    return images


def noise(images: Tensor, amount: float = 0.04) -> Tensor:
    """Add sensor noise of up to `amount`, a different level for each picture."""
    return (images + torch.randn_like(images) * _uniform(images, 0, amount)).clamp(0, 1)


@cache
def _cosines(device: torch.device) -> Tensor:
    k = torch.arange(8.0, device=device)
    basis = torch.cos(math.pi * (2 * k[None] + 1) * k[:, None] / 16) * 0.5
    basis[0] *= math.sqrt(0.5)
    return basis


def compress(images: Tensor) -> Tensor:
    """Compress roughly as JPEG does: round the cosine coefficients of 8x8 blocks, high frequencies more coarsely."""
    b, c, height, width = images.shape
    basis = _cosines(images.device)
    blocks = images.reshape(b, c, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    order = torch.arange(8.0, device=images.device)
    step = _uniform(images, 0.02, 0.1)[..., None, None] * (1 + 0.7 * (order[:, None] + order[None]))
    coefficients = torch.round(basis @ blocks @ basis.t() / step) * step
    restored = basis.t() @ coefficients @ basis
    return restored.permute(0, 1, 2, 4, 3, 5).reshape(b, c, height, width).clamp(0, 1)


_BOX = ((0.0, 1.0), (0.0, 1.0), (0.02, 0.14), (0.02, 0.14))
"""Ranges of a cover's centre x, y and half width, half height, in parts of the picture."""


def cover(images: Tensor) -> Tensor:
    """Put something in front of the face: a box of one colour, up to a quarter of the picture each way."""
    height, width = images.shape[2:]
    x, y, half_width, half_height = (_uniform(images, *span) for span in _BOX)
    across = ((torch.arange(width, device=images.device) + 0.5) / width - x).abs() < half_width
    down = ((torch.arange(height, device=images.device)[:, None] + 0.5) / height - y).abs() < half_height
    colour = torch.rand(len(images), 3, 1, 1, device=images.device)
    return torch.where(across & down, colour, images)


def photographed(images: Tensor) -> Tensor:
    """Change pictures as if some camera had taken them: for the motion encoder and the landmark detector."""
    (images,) = recolour(images)
    for change, share in ((cover, 0.2), (blur, 0.25), (noise, 0.25), (compress, 0.2)):
        images = sometimes(images, change, share)
    return images


def reframed(images: Tensor, landmarks: Tensor, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Crop faces carelessly: scaled by 0.6..1.6, off centre by up to a fifth, rolled up to 20 degrees.

    Return pictures [B, 3, n, n], bordered by their edge colour, and their landmarks [B, 68, 2] in 0..1.
    """
    count, device = len(images), images.device
    scale = torch.exp((torch.rand(count, device=device) * 2 - 1) * math.log(1.6) * strength)
    angle = torch.randn(count, device=device).clamp(-2, 2) * math.radians(10) * strength
    shift = (torch.rand(count, 2, device=device) * 2 - 1) * 0.4 * strength  # units of which the picture has 2
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    view = torch.cat([turn / scale[:, None, None], shift[:, :, None]], 2)
    grid = F.affine_grid(view, [count, 3, *images.shape[2:]], align_corners=False)
    pictures = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    points = ((landmarks * 2 - 1 - shift[:, None]) @ turn) * scale[:, None, None]
    return pictures, (points + 1) / 2
