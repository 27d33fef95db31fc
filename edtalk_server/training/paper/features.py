"""Our own feature network: for L_per where there are no VGG weights, and for L_mot. Trained on renders to predict
parts, landmarks and weights (stage `features`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LANDMARKS = 68
CHANNELS = 36
CLASSES = 32
"""Parts that it can tell apart; the last one is the background."""
BACKGROUND_PART = 255
_LANDMARK_SHARE = 100.0
"""What landmarks count beside weights and parts."""


class Prediction(NamedTuple):
    """The network's output for pictures: logits [B, CLASSES, n, n] of the parts (n a quarter of the picture's size),
    landmarks [B, 68, 2] in 0..1, weights [B, 36]."""

    parts: Tensor
    landmarks: Tensor
    weights: Tensor

    def plain(self) -> Prediction:
        """Return the same in float32."""
        return Prediction(*(output.float() for output in self))


class FeatureNetwork(nn.Module):
    """Five stages of strided convolutions (1.5 M parameters); any picture size from 32 on.

    No batch statistics: a picture's features depend on it alone.
    """

    WIDTHS = (32, 64, 96, 128, 192)

    def __init__(self) -> None:
        super().__init__()
        before = (3, *self.WIDTHS)
        self.stages = nn.ModuleList(_stage(a, b) for a, b in zip(before, self.WIDTHS, strict=False))
        lateral = self.WIDTHS[1:]
        self.lateral = nn.ModuleList(nn.Conv2d(width, 64, 1) for width in lateral)
        self.to_parts = nn.Conv2d(64, CLASSES, 3, padding=1)
        self.to_numbers = nn.Sequential(
            nn.Linear(self.WIDTHS[-1] * 16, 256), nn.SiLU(), nn.Linear(256, 2 * LANDMARKS + CHANNELS)
        )

    def forward(self, pictures: Tensor) -> Prediction:
        features = self.features(pictures)
        numbers = self._numbers(features[-1])
        return Prediction(
            self._parts(features),
            numbers[:, : 2 * LANDMARKS].unflatten(1, (LANDMARKS, 2)) + 0.5,
            numbers[:, 2 * LANDMARKS :],
        )

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the maps of the five stages, each half the size of the one before: what a perceptual loss compares."""
        maps = []
        x = pictures
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def describe(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """See `losses.MotionObserver`."""
        deepest = self.features(pictures)[-1]
        return self._numbers(deepest), deepest.mean((2, 3))

    def _numbers(self, deepest: Tensor) -> Tensor:
        return self.to_numbers(_resized(deepest, 4).flatten(1))  # type: ignore[no-any-return]

    def _parts(self, features: list[Tensor]) -> Tensor:
        """Return logits of the parts, from coarse to fine: each level adds what it sees."""
        x: Tensor | None = None
        for lateral, feature in zip(reversed(self.lateral), reversed(features[1:]), strict=True):
            own = lateral(feature)
            x = own if x is None else own + _resized(x, own.shape[-1])
        return self.to_parts(x)  # type: ignore[no-any-return]


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
    )


def _resized(x: Tensor, size: int) -> Tensor:
    return x if x.shape[-1] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def teaching_losses(
    prediction: Prediction, landmarks: Tensor, weights: Tensor, parts: Tensor | None
) -> dict[str, Tensor]:
    """Return the network's losses: squared errors of landmarks [B, 68, 2] and weights [B, 36], and cross-entropy of the
    parts [B, f, f] where they are known."""
    losses = {
        "landmarks": _LANDMARK_SHARE * F.mse_loss(prediction.landmarks, landmarks),
        "weights": F.mse_loss(prediction.weights, weights),
    }
    if parts is not None:
        losses["parts"] = F.cross_entropy(prediction.parts, _as_classes(parts, prediction.parts.shape[-1]))
    return losses


def _as_classes(parts: Tensor, size: int) -> Tensor:
    """Return part ids [B, f, f] as classes [B, size, size]; ids that have no class count as background."""
    classes = torch.where(parts >= CLASSES, CLASSES - 1, parts)
    return F.interpolate(classes[:, None].float(), size=size, mode="nearest")[:, 0].long()
