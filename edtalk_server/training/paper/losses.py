"""The paper's losses, one small class each, and the critic of L_adv. All are means over samples, so that a batch's loss
is the mean of its halves'.

Section 3.2 of the paper names them. Where it leaves a choice open, the release's is taken (its stage "mouth pose
decouple"); where there is no release, the docstring says what was chosen.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.networks.blocks import ConvLayer, EqualConv2d
from edtalk_server.training.paper.config import AdversarialKind, Critic


class Reconstruction:
    """L_rec: mean absolute difference of pictures (section 3.2)."""

    def __call__(self, drawn: Tensor, true: Tensor) -> Tensor:
        return (drawn - true).abs().mean()


class CosineDistance:
    """exp(-S), where S is the cosine similarity of latents [B, D]: 1/e when they point the same way, e when
    opposite."""

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.exp(-F.cosine_similarity(first, second, dim=1)).mean()


class FeatureConsistency:
    """L_fea (section 3.2): a picture that shows a mouth with another's pose has the same mouth latent as the original;
    likewise for the pose."""

    def __init__(self) -> None:
        self._distance = CosineDistance()

    def __call__(self, mouths: tuple[Tensor, Tensor], poses: tuple[Tensor, Tensor]) -> Tensor:
        return self._distance(*mouths) + self._distance(*poses)


class MouthConsistency:
    """L_m-c (section 3.2): whatever the expression does, the frozen mouth module must see the same mouth in the drawn
    picture as in the true one. Taken as exp(-S), like L_fea."""

    def __init__(self) -> None:
        self._distance = CosineDistance()

    def __call__(self, drawn_mouth: Tensor, true_mouth: Tensor) -> Tensor:
        return self._distance(drawn_mouth, true_mouth)


class MotionObserver(Protocol):
    """Describes faces for `MotionReconstruction`."""

    def describe(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the geometry [B, P] and the expression features [B, C] of pictures [B, 3, S, S]."""


class MotionReconstruction:
    """L_mot (section 3.2): two frozen observers must see the same motion in the drawn and in the true picture.

    ||phi(drawn) - phi(true)|| + ||psi(drawn) - psi(true)||, Euclidean norms of each picture's difference, mean over
    pictures. Unlike a mean of squares, a norm's gradient does not fade as the pictures come near each other.

    The paper takes a 3D face reconstruction and an emotion network. Here both are our feature network: its landmarks
    and weights for the geometry, its pooled deepest features for the expression.
    """

    def __init__(self, observer: MotionObserver) -> None:
        self._observer = observer

    def __call__(self, drawn: Tensor, true: Tensor) -> Tensor:
        with torch.no_grad():
            geometry, expression = self._observer.describe(true)
        drawn_geometry, drawn_expression = self._observer.describe(drawn)
        return _distance(drawn_geometry, geometry) + _distance(drawn_expression, expression)


def _distance(drawn: Tensor, true: Tensor) -> Tensor:
    """Return the mean Euclidean distance of rows [B, N]; its gradient at equal rows is zero."""
    return torch.linalg.vector_norm(drawn - true, dim=1).mean()


class Adversarial:
    """L_adv (section 3.2). `scores` are the critic's maps, one for each picture size.

    Non-saturating logistic (Goodfellow et al. 2014, as in StyleGAN2 and the release) or hinge (Lim and Ye 2017).
    """

    def __init__(self, kind: AdversarialKind) -> None:
        self._hinge = kind is AdversarialKind.HINGE

    def generator(self, drawn: list[Tensor]) -> Tensor:
        """Return the generator's loss: small when the critic takes its pictures for true."""
        return _mean([-score.mean() if self._hinge else F.softplus(-score).mean() for score in drawn])

    def critic(self, drawn: list[Tensor], true: list[Tensor]) -> Tensor:
        """Return the critic's loss."""
        return _mean([self._separate(d, t) for d, t in zip(drawn, true, strict=True)])

    def _separate(self, drawn: Tensor, true: Tensor) -> Tensor:
        if self._hinge:
            return F.relu(1 + drawn).mean() + F.relu(1 - true).mean()
        return F.softplus(drawn).mean() + F.softplus(-true).mean()


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


# --- the critic -------------------------------------------------------------------------------------------------------

_MOST_CHANNELS = 512
"""Widest layer."""


class PatchCritic(nn.Module):
    """Maps pictures [B, 3, S, S] to scores [B, 1, n, n]: positive where a patch looks true."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        widths = [min(_MOST_CHANNELS, width << level) for level in range(depth + 1)]
        self.stem = ConvLayer(3, widths[0], 1)
        self.body = nn.Sequential(*(ConvLayer(a, b, 3, down=True) for a, b in pairwise(widths)))
        self.score = EqualConv2d(widths[-1], 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.score(self.body(self.stem(pictures)))  # type: ignore[no-any-return]


class MultiScaleCritic(nn.Module):
    """A `PatchCritic` for the full picture, one for half its size, and so on (Wang et al. 2018, pix2pixHD)."""

    def __init__(self, config: Critic) -> None:
        super().__init__()
        self.critics = nn.ModuleList(PatchCritic(config.width, config.depth) for _ in range(config.scales))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        scores = []
        for critic in self.critics:
            scores.append(critic(pictures))
            pictures = F.avg_pool2d(pictures, 2)
        return scores
