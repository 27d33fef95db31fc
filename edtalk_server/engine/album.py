"""Several photographs of one person: each part of a frame comes from the picture that knows it.

One photograph with closed lips says nothing of the teeth, and one with open eyes nothing of the lids. The network's
mask says so: it is low where the frame must be invented and high where the photograph shows what is asked for. So every
picture draws the frame, and within the parts of the face (`PARTS`) pixels are taken from another picture where it is
surer, moved onto the portrait's landmarks of that part. Shares follow from the weights alone, change smoothly with
them, and fade out at a part's edge. At the portrait's own weights the frame is the portrait, to the bit, because it
knows everything then. Tried as weighted means of whole parts, too: lips doubled, and fog was taken for knowledge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from edtalk_server.networks.compact_blocks import identity_grid, shrink

if TYPE_CHECKING:
    from edtalk_server.networks.compact import CompactNetwork, Prepared


class Part(NamedTuple):
    """A part of the face: its landmarks, and how far its ellipse reaches beyond their box, across and down;
    `least` is the least height of that box in its widths."""

    points: slice
    across: float
    down: float
    least: float


PARTS = {
    "mouth": Part(slice(60, 68), 1.1, 1.25, 0.0),
    "right_eye": Part(slice(36, 42), 1.5, 2.6, 0.45),
    "left_eye": Part(slice(42, 48), 1.5, 2.6, 0.45),
}
"""What the lips show between them, and the eyes with their lids. Lips themselves stay the portrait's: two pictures of
one lip would double its edge."""
_MARGIN, _DECIDED = 0.05, 0.3
"""How much better another picture must know a pixel to be asked, and from there on to be alone."""
_WORTH_NAMING = 0.08
"""Mean share of a part that counts as giving it."""
_EDGE = 0.7
"""Where the ellipse begins to fade, as a part of its radius."""


class Page(NamedTuple):
    """What one picture draws: frames [B, 3, n, n], where they are known [B, 1, m, m] and landmarks [B, 68, 2]."""

    frames: Tensor
    known: Tensor
    points: Tensor


def decode(network: CompactNetwork, sources: Sequence[Prepared], weights: Tensor) -> Tensor:
    """Return frames [B, 3, n, n] of one person under B rows of weights. The first of `sources` is the portrait; the
    others' photos are as large as its own."""
    first = _page(network, sources[0], weights)
    frames = first.frames
    for source in sources[1:]:
        page = _page(network, replace(source, detail=None), weights)  # what it shows, and nothing painted
        for part in PARTS.values():
            frames = _laid_over(frames, first, page, part)
    return frames


@torch.inference_mode()
def gives(
    network: CompactNetwork, portrait: Prepared, other: Prepared, probes: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Return the names of the `PARTS` that another picture gives to frames of a portrait under the weights [1, C] in
    `probes`, one for each part: a mouth that opens, say."""
    found = []
    for name, weights in probes.items():
        first, page = _page(network, portrait, weights), _page(network, other, weights)
        share = _share(first, page, PARTS[name], network.config.detail_size)
        if float(share.sum() / _ellipse(PARTS[name], first.points, share.shape[-1]).sum()) > _WORTH_NAMING:
            found.append(name)
    return tuple(found)


def _page(network: CompactNetwork, source: Prepared, weights: Tensor) -> Page:
    frames, known = network.decode_known(source, weights)
    points = network.cropped_landmarks_of(shrink(frames.clamp(-1, 1), network.config.detail_size))
    return Page(frames, known, points)


def _laid_over(frames: Tensor, first: Page, page: Page, part: Part) -> Tensor:
    """Return the frames with what another picture knows better of a part laid over them, moved onto the first picture's
    landmarks."""
    share = _share(first, page, part, frames.shape[-1])
    if not bool((share > 0).any()):
        return frames
    moved = _moved_onto(page.frames, page.points[:, part.points], first.points[:, part.points])
    return frames + share * (moved - frames)


def _share(first: Page, page: Page, part: Part, size: int) -> Tensor:
    """Return how much of each pixel of a part another picture gives, [B, 1, size, size]."""
    known = _moved_onto(page.known, page.points[:, part.points], first.points[:, part.points])
    share = _blurred((known - first.known - _MARGIN).div(_DECIDED).clamp(0, 1))
    share = F.interpolate(share, size=(size, size), mode="bilinear", align_corners=False)
    return share * _ellipse(part, first.points, size)


def _blurred(maps: Tensor) -> Tensor:
    """Soften maps [B, 1, m, m] by a few pixels."""
    return F.avg_pool2d(F.avg_pool2d(maps, 3, 1, 1), 3, 1, 1)


def _moved_onto(frames: Tensor, points: Tensor, places: Tensor) -> Tensor:
    """Shift and scale frames [B, 3, n, n] so that landmarks [B, P, 2] in 0..1 come to lie at `places`."""
    middle, target = points.mean(1, keepdim=True), places.mean(1, keepdim=True)
    away, wanted = points - middle, places - target
    across = (away.square().sum(1) / wanted.square().sum(1).clamp_min(1e-6)).sqrt().clamp(0.5, 2.0)
    grid = identity_grid(frames.shape[-1], frames.device) / 2 + 0.5
    seen = middle[:, None] + (grid - target[:, None]) * across[:, None, None]
    return F.grid_sample(frames, seen * 2 - 1, padding_mode="border", align_corners=False)


def _ellipse(part: Part, points: Tensor, size: int) -> Tensor:
    """Return how much each pixel belongs to a part [B, 1, size, size]: 1 inside its ellipse, fading out at its edge."""
    chosen = points[:, part.points]
    low, high = chosen.amin(1), chosen.amax(1)
    middle, half = (low + high) / 2, (high - low).clamp_min(0.02) / 2
    radius = torch.maximum(half, torch.stack([half[:, 0], part.least * half[:, 0]], 1)) * half.new_tensor(
        [part.across, part.down]
    )
    grid = identity_grid(size, points.device) / 2 + 0.5
    distance = ((grid - middle[:, None, None]) / radius[:, None, None]).norm(dim=-1)[:, None]
    fade = ((1 - distance) / (1 - _EDGE)).clamp(0, 1)
    return fade * fade * (3 - 2 * fade)
