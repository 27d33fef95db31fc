"""The starter's losses. Each is a scalar tensor; all maps are [B, C, n, n] float32.

The renderer knows where every pixel came from, so motion is taught directly, which no video data set allows, and the
picture losses only have to teach what a warp cannot show: the inside of an opening mouth, closing lids, what was
hidden.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edtalk_server.networks.compact import FlowLevel
from edtalk_server.training.starter.loader import Pairs

RIGHT_EYE, LEFT_EYE, MOUTH = slice(36, 42), slice(42, 48), slice(48, 68)
DETECTOR_SHARE = 100.0
"""What the landmark detector's loss counts beside the motion encoder's."""
ENCODER_LANDMARK_SHARE = 10.0
"""What the motion encoder's landmarks count beside its weights."""


def blob(points: Tensor, reach: float, size: int) -> Tensor:
    """Return a soft spot [B, 1, size, size] over landmarks [B, P, 2] (0..1), `reach` times as wide as they spread."""
    center = points.mean(1)
    width = (points.amax(1) - points.amin(1)).amax(1).clamp(min=0.03) * reach
    line = (torch.arange(size, device=points.device) + 0.5) / size
    dx = (line[None, None, :] - center[:, 0, None, None]) / width[:, None, None]
    dy = (line[None, :, None] - center[:, 1, None, None]) / width[:, None, None]
    return torch.exp(-(dx.square() + dy.square()))[:, None]


def attention(landmarks: Tensor, size: int, mouth: float, eyes: float) -> Tensor:
    """Return how much each pixel counts: 1, more at eyes and mouth, which are small but what people look at."""
    return (
        1
        + mouth * blob(landmarks[:, MOUTH], 0.65, size)
        + eyes * blob(landmarks[:, RIGHT_EYE], 0.8, size)
        + eyes * blob(landmarks[:, LEFT_EYE], 0.8, size)
    )


def motion_losses(levels: list[FlowLevel], pairs: Pairs, weights: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Return (flow, mask): L1 of the flow where the source shows the spot, and the cross-entropy of the mask with
    visibility, summed over levels with `weights`; levels finer than the truth are averaged down to it."""
    size = pairs.flow.shape[-1]
    look = attention(pairs.landmarks, size, mouth=6.0, eyes=5.0)
    weight = pairs.trust * look
    flow_loss = mask_loss = torch.zeros((), device=weight.device)
    for level, share in zip(levels, weights, strict=True):
        factor = max(1, size // level.flow.shape[-1])
        flow, logits = level
        if flow.shape[-1] > size:
            flow, logits = (F.avg_pool2d(x, flow.shape[-1] // size) for x in (flow, logits))
        w = F.avg_pool2d(weight, factor)
        truth = F.avg_pool2d(pairs.flow * weight, factor) / (w + 1e-4)
        flow_loss = flow_loss + share * ((flow - truth).abs().sum(1, keepdim=True) * w).sum() / w.sum()
        visible, looked = F.avg_pool2d(pairs.visible, factor), F.avg_pool2d(look, factor)
        mask_loss = mask_loss + F.binary_cross_entropy_with_logits(logits, visible, weight=looked / 2)
    return flow_loss, mask_loss


def picture_loss(error: Tensor, look: Tensor) -> Tensor:
    """Return L1 at full and half size, weighted by `look`; `error` is [B, 3, n, n] in units of [-1, 1]."""
    coarse = (F.avg_pool2d(error, 2).abs() * F.avg_pool2d(look, 2)).mean()
    return (error.abs() * look).mean() + 0.5 * coarse


def edge_loss(error: Tensor, look: Tensor) -> Tensor:
    """Return L1 of the error's differences between neighbours: it penalises blur, which hardly costs in
    `picture_loss`."""
    across = (error[..., 1:] - error[..., :-1]).abs() * look[..., 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * look[..., 1:, :]
    return across.mean() + down.mean()


def estimation_loss(output: Tensor, weights: Tensor, landmarks: Tensor, importance: Tensor) -> Tensor:
    """Return the motion encoder's loss: squared error of weights [B, 36] (scaled by `importance` [36]), and mean error
    of landmarks [B, 68, 2]. `output` is [B, 36 + 136], landmarks as x, y minus a half.

    Squared, not absolute: most weights are zero most of the time, and the median would always be zero. Rows 2k and
    2k + 1 show one person: a face is driven by the difference of two estimates, in which a person's habitual face falls
    out, so its error counts as well.
    """
    channels = weights.shape[1]
    error = output[:, :channels] - weights
    change = error[0::2] - error[1::2]
    weight_error = 0.5 * (error.square() * importance).mean() + 0.5 * (change.square() * importance).mean()
    landmark_error = (output[:, channels:] - (landmarks - 0.5).flatten(1)).abs().mean()
    return weight_error + ENCODER_LANDMARK_SHARE * landmark_error


def landmark_loss(output: Tensor, landmarks: Tensor) -> Tensor:
    """Return the mean squared error of landmarks; `output` [B, 136] lies around 0, `landmarks` [B, 68, 2] in 0..1."""
    return (output - (landmarks - 0.5).flatten(1)).square().mean()
