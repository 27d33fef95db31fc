"""Reading a face: 68 landmarks found where they lie, then the weights from them and from what the picture shows there.

A network that squeezes a picture to numbers at once forgets where things were by a pixel or two, and the head's
place is most of what a driving face says. So landmarks are expected places over heat maps (integral regression; Sun et
al., ECCV 2018), good to a fraction of a cell, and lids, pupils and lips are looked at again in the finest maps, where
they were found. Pictures are [B, 3, size, size] in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.networks.compact_blocks import ConvNormRelu, enlarge, shrink

LANDMARKS = 68
_BROWS_TO_LIPS = slice(17, 68)
_RIGHT_EYE, _LEFT_EYE, _LIPS = slice(36, 42), slice(42, 48), slice(48, 68)
_COORDINATE_SCALE = (
    8.0  # landmarks lie within half of their mean; the numbers that follow like a spread near one
)


class MotionEncoder(nn.Module):
    """[B, 3, size, size] -> [B, weights + 136], landmarks as x, y minus a half.

    `channels` are the widths of the maps of size/2, /4, /8, /16 and /32; heat maps have size/4.
    """

    def __init__(self, size: int, channels: tuple[int, ...], hidden: int, weights: int) -> None:
        super().__init__()
        self.size, self.weights = size, weights
        self.stem = ConvNormRelu(3, channels[0], kernel=5)
        self.downs = nn.ModuleList(
            nn.Sequential(ConvNormRelu(a, b), ConvNormRelu(b, b, stride=1)) for a, b in pairwise(channels)
        )
        width = channels[1]
        self.sides = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels[1:])
        self.merges = nn.ModuleList(ConvNormRelu(width, width, stride=1) for _ in channels[2:])
        self.heat = nn.Conv2d(width, LANDMARKS, 1)
        side = size // 2 ** len(channels)
        self.overview = nn.Sequential(
            nn.Flatten(), nn.Linear(channels[-1] * side * side, hidden), nn.BatchNorm1d(hidden), nn.ReLU()
        )
        self.closely = nn.Sequential(
            nn.Linear(len(_looks(torch.zeros(1, LANDMARKS, 2))[0]) * channels[0], hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
        )
        self.shape = nn.Sequential(nn.Linear(2 * LANDMARKS, hidden), nn.BatchNorm1d(hidden), nn.ReLU())
        self.mix = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU())
        self.numbers = nn.Linear(hidden, weights)
        self.beyond = nn.Linear(hidden, 2 * LANDMARKS)  # landmarks may lie outside the picture, heat cannot
        nn.init.zeros_(self.beyond.weight)
        nn.init.zeros_(self.beyond.bias)

    def forward(self, images: Tensor) -> Tensor:
        fine = self.stem(shrink(images, self.size))
        maps, x = [], fine
        for down in self.downs:
            x = down(x)
            maps.append(x)
        overview = self.overview(x)
        points = self._places(maps) + self.beyond(overview).float().reshape(-1, LANDMARKS, 2)
        details = self.closely(_look(fine, points.detach()))
        shape = self.shape(((points - 0.5) * _COORDINATE_SCALE).flatten(1))
        numbers = self.numbers(self.mix(torch.cat([overview, details, shape], 1)))
        return torch.cat([numbers.float(), (points - 0.5).flatten(1)], 1)

    def _places(self, maps: list[Tensor]) -> Tensor:
        """Return the landmarks' expected positions [B, 68, 2] in 0..1, float32."""
        sides = [side(x) for side, x in zip(self.sides, maps, strict=True)]
        x = sides[-1]
        for merge, finer in zip(reversed(self.merges), reversed(sides[:-1]), strict=True):
            x = merge(enlarge(x) + finer)
        heat = self.heat(x).float().flatten(2).softmax(2).unflatten(2, x.shape[2:])
        line = (torch.arange(x.shape[-1], device=x.device) + 0.5) / x.shape[-1]
        return torch.stack([(heat.sum(2) * line).sum(2), (heat.sum(3) * line).sum(2)], 2)


def _looks(points: Tensor) -> Tensor:
    """Return the sampling points for details [B, P, 2] in 0..1: brows, nose, eyes and mouth at landmarks, and grids
    over them."""
    grids = [
        _grid(points[:, part], columns, rows)
        for part, columns, rows in ((_RIGHT_EYE, 5, 3), (_LEFT_EYE, 5, 3), (_LIPS, 5, 4))
    ]
    return torch.cat([points[:, _BROWS_TO_LIPS], *grids], 1)


def _grid(points: Tensor, columns: int, rows: int) -> Tensor:
    """Return a grid [B, columns * rows, 2] over the box of `points` and a little more."""
    low, high = points.amin(1), points.amax(1)
    across = torch.linspace(-0.1, 1.1, columns, device=points.device)
    down = torch.linspace(-0.3, 1.3, rows, device=points.device)
    steps = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1).reshape(1, -1, 2)
    return low[:, None] + steps * (high - low)[:, None]


def _look(maps: Tensor, points: Tensor) -> Tensor:
    """Sample maps [B, C, n, n] at the points of detail, [B, P * C]."""
    grid = (_looks(points) * 2 - 1)[:, None]
    with torch.autocast(maps.device.type, enabled=False):
        values = F.grid_sample(maps.float(), grid, padding_mode="border", align_corners=False)
    return values.flatten(1)
