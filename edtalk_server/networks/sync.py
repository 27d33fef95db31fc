"""The sync expert (paper section 3.3; Chung and Zisserman 2016, Prajwal et al. 2020): do these lips say this sound?

It compares five frames of the lower half of a face with a mel window of the same 0.2 seconds. Both become vectors of
length one without negative entries, so their cosine lies in 0..1: the probability that they belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edtalk_server.networks.audio2lip import ConvBlock, audio_encoder
from edtalk_server.networks.config import SyncConfig

FRAMES = 5
"""Consecutive frames at 25 a second that are compared with one mel window."""
MIDDLE = FRAMES // 2
"""The frame whose mel window (`media.audio.mel.windows`) covers the same time as the five frames."""
HEIGHT, WIDTH = 48, 96
"""Size of the lower half-face."""

_FINEST = 128
"""Larger pictures are halved to this side first, so that films look as fine as the renders that it learned from."""
_JAW = slice(0, 17)
_MARGIN = 1.1
"""Width of the box in widths of the jaw line."""
_BELOW = 0.05
"""How far the box reaches below the chin, in parts of its width."""


class SyncExpert(nn.Module):
    """Two encoders, one for lips and one for sound; the latter is Audio2Lip's. Use it in evaluation mode."""

    def __init__(self, config: SyncConfig | None = None) -> None:
        super().__init__()
        self.config = config or SyncConfig()
        a, b, c, d, e = self.config.widths
        self.lips = nn.Sequential(
            ConvBlock(3 * FRAMES, a, stride=2),
            ConvBlock(a, b, stride=2),
            ConvBlock(b, b, residual=True),
            ConvBlock(b, c, stride=2),
            ConvBlock(c, c, residual=True),
            ConvBlock(c, d, stride=2),
            ConvBlock(d, e, padding=0),
            nn.Flatten(),
            nn.Linear(4 * e, self.config.embedding),
        )
        self.hearing = audio_encoder(self.config.sound_widths)
        self.sound = nn.Linear(self.config.sound_widths[-1], self.config.embedding)

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> SyncExpert:
        """Return the untrained network of a bundle's config; raises `ValueError` that names a wrong field."""
        return cls(SyncConfig.from_dict(values))

    def embed_lips(self, windows: Tensor) -> Tensor:
        """Embed lower half-faces [N, 15, 48, 96] in [-1, 1] (five RGB frames) as [N, 512] of length 1."""
        return _unit(self.lips(windows))

    def embed_sound(self, windows: Tensor) -> Tensor:
        """Embed mel windows [N, 1, 80, 16] in [-4, 4] as [N, 512] of length 1."""
        return _unit(self.sound(self.hearing(windows).flatten(1)))

    def forward(self, lips: Tensor, sound: Tensor) -> Tensor:
        """Return the cosine [N] in 0..1 of half-faces [N, 15, 48, 96] and mel windows [N, 1, 80, 16]."""
        return (self.embed_lips(lips) * self.embed_sound(sound)).sum(dim=1)


def _unit(features: Tensor) -> Tensor:
    return F.normalize(torch.relu(features.float()), dim=1)


def lip_windows(frames: Tensor, landmarks: Tensor) -> Tensor:
    """Return the lower half-faces of all runs of five frames, [B, T - 4, 15, 48, 96].

    `frames` [B, T, 3, S, S] in [-1, 1]; `landmarks` [B, T, 68, 2] as x, y in 0..1 of the picture. A run has one box,
    from its mean landmarks, so that the jaw moves in it. Gradients reach the frames.
    """
    count, runs = len(frames), frames.shape[1] - FRAMES + 1
    if runs < 1:
        raise ValueError(f"lips need at least {FRAMES} frames, not {frames.shape[1]}")
    starts = torch.arange(runs, device=frames.device)[:, None] + torch.arange(FRAMES, device=frames.device)
    small, points = _coarse(frames)[:, starts], landmarks[:, starts].mean(dim=2)
    return half_faces(small.flatten(0, 1), points.flatten(0, 1)).flatten(1, 2).unflatten(0, (count, runs))


def half_faces(frames: Tensor, landmarks: Tensor, jitter: Tensor | None = None) -> Tensor:
    """Return lower half-faces [B, T, 3, 48, 96] of frames [B, T, 3, S, S] that share a box, by landmarks [B, 68, 2].

    `jitter` [B, 3] shifts the box (in widths) and scales it (as a logarithm).
    """
    small = _coarse(frames)
    grid = _grid(_boxes(landmarks, jitter)).repeat_interleave(small.shape[1], dim=0)
    cut = F.grid_sample(
        small.flatten(0, 1), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return cut.unflatten(0, small.shape[:2])


def runs_of(halves: Tensor) -> Tensor:
    """Return all runs of five of half-faces [B, T, 3, 48, 96], as `lip_windows` does."""
    return halves.unfold(1, FRAMES, 1).movedim(-1, 2).flatten(2, 3)


def _coarse(frames: Tensor) -> Tensor:
    if frames.shape[-1] <= _FINEST:
        return frames
    return F.adaptive_avg_pool2d(frames.flatten(0, 1), _FINEST).unflatten(0, frames.shape[:2])


def _boxes(landmarks: Tensor, jitter: Tensor | None) -> Tensor:
    """Return left, top and width [B, 3] of the boxes around landmarks [B, 68, 2], in 0..1 of the picture."""
    jaw = landmarks[:, _JAW]
    low, high = jaw.amin(dim=1), jaw.amax(dim=1)
    width = (high[:, 0] - low[:, 0]) * _MARGIN
    middle = (low[:, 0] + high[:, 0]) / 2
    bottom = high[:, 1] + _BELOW * width
    if jitter is not None:
        shift_x, shift_y, scale = jitter.unbind(dim=1)
        middle, bottom = middle + shift_x * width, bottom + shift_y * width
        width = width * scale.exp()
    return torch.stack([middle - width / 2, bottom - width * HEIGHT / WIDTH, width], dim=-1)


def _grid(boxes: Tensor) -> Tensor:
    """Return sampling positions [B, 48, 96, 2] (x, y in -1..1) of boxes [B, 3]."""
    across = (torch.arange(WIDTH, device=boxes.device) + 0.5) / WIDTH
    down = (torch.arange(HEIGHT, device=boxes.device) + 0.5) / WIDTH
    left, top, width = (part[:, None, None] for part in boxes.unbind(dim=-1))
    x, y = left + width * across[None, None, :], top + width * down[None, :, None]
    return torch.stack(torch.broadcast_tensors(x, y), dim=-1) * 2 - 1
