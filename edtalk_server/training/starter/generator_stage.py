"""Teaching the generator: first coarse motion at 64 pixels, then the picture at 128.

It is fed the renderer's true change of weights plus a little noise, so that what each weight means is never in doubt.
In the last part of the run some pairs carry the weights that the finished motion encoder estimates instead, so that the
two fit together; only some, because the encoder's errors would blur what the true weights mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edtalk_server.networks.compact import CompactNetwork, Drawing
from edtalk_server.networks.compact_blocks import warp
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.loop.trainer import Outcome, learning_rate
from edtalk_server.training.starter import augment, losses
from edtalk_server.training.starter.loader import Pairs
from edtalk_server.training.starter.motion_stage import estimate_weights
from edtalk_server.training.starter.trainer import CompactTrainer, Paths, Plan, signed


@dataclass(frozen=True)
class GeneratorPlan(Plan):
    """Up to `trunk_share` of the run only coarse motion is trained; from `estimate_from` on, `estimate_share` of the
    pairs carry estimated weights. `weight_noise` is in natural units; `rest_share` of the pairs are a picture and
    itself."""

    minutes: float = 90.0
    trunk_share: float = 0.2
    estimate_from: float = 0.8
    estimate_share: float = 0.25
    trunk_batch: int = 32
    picture_batch: int = 16
    trunk_rate: float = 1e-3
    picture_rate: float = 8e-4
    weight_noise: float = 0.03
    rest_share: float = 0.05


TRUNK_LEVELS = (0.5, 0.8, 1.2)
PICTURE_LEVELS = (0.3, 0.5, 0.8, 1.2, 1.2)


def trunk_step(network: CompactNetwork, pairs: Pairs, noise: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of coarse motion and its parts; pictures at 64 pixels in [-1, 1]."""
    with torch.autocast(pairs.source.device.type, torch.bfloat16):
        encoding = network.encode_trunk(pairs.source)
        drawing = network.draw(encoding, network.basis(), _change(pairs, noise), trunk_only=True)
    flow, mask = losses.motion_losses(drawing.levels, pairs, TRUNK_LEVELS)
    size = drawing.levels[-1].flow.shape[-1]
    small = [F.avg_pool2d(x, x.shape[-1] // size) for x in (pairs.source, pairs.target, pairs.visible)]
    look = losses.attention(pairs.landmarks, size, 6.0, 5.0) * small[2]
    picture = ((warp(small[0], drawing.levels[-1].flow) - small[1]).abs() * look).mean()
    return picture + 6 * flow + 0.1 * mask, {"flow": flow, "mask": mask, "picture": picture}


def picture_step(network: CompactNetwork, pairs: Pairs, noise: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of the picture and its parts; pictures at 128 pixels in [-1, 1]."""
    with torch.autocast(pairs.source.device.type, torch.bfloat16):
        encoding = network.encode(pairs.source)
        drawing = network.draw(encoding, network.basis(), _change(pairs, noise))
        output = network.compose(pairs.source, drawing)
    flow, mask = losses.motion_losses(drawing.levels, pairs, PICTURE_LEVELS)
    look = losses.attention(pairs.landmarks, output.shape[-1], mouth=12.0, eyes=8.0) + 12 * pairs.inside
    error = output - pairs.target
    picture, edge = losses.picture_loss(error, look), losses.edge_loss(error, look)
    drawn = ((_rgb(drawing) - pairs.target).abs() * look).mean()
    # The mask counts more than its share of the error: blending everywhere would score as well, but blur photos.
    total = picture + 0.7 * edge + 0.15 * drawn + 4 * flow + 0.3 * mask
    return total, {"flow": flow, "mask": mask, "picture": picture, "edge": edge, **_measures(pairs, error)}


def _rgb(drawing: Drawing) -> Tensor:
    if drawing.rgb is None:
        raise ValueError("only a full drawing has a picture")
    return drawing.rgb


@torch.no_grad()
def _measures(pairs: Pairs, error: Tensor) -> dict[str, Tensor]:
    """Return plain L1 (in [-1, 1] units) of the result and of the unmoved source, everywhere and at the mouth."""
    mouth = losses.blob(pairs.landmarks[:, losses.MOUTH], 0.55, error.shape[-1])
    unmoved = pairs.source - pairs.target
    share = mouth.sum() * 3
    return {
        "l1": error.abs().mean(),
        "l1_unmoved": unmoved.abs().mean(),
        "mouth": (error.abs() * mouth).sum() / share,
        "mouth_unmoved": (unmoved.abs() * mouth).sum() / share,
    }


def _change(pairs: Pairs, noise: float) -> Tensor:
    change = pairs.target_weights - pairs.source_weights
    return change + noise * torch.randn_like(change) if noise else change


def dress(pairs: Pairs, rest_share: float) -> Pairs:
    """Augment pairs, [0, 1] -> [-1, 1]; some become (source, source), so that rest is learned too."""
    source, target = augment.recolour(pairs.source, pairs.target)
    if torch.rand(()) < 0.25:
        source, target = augment.blur(source), augment.blur(target)
    if torch.rand(()) < 0.25:
        source = augment.noise(source, 0.03)
    if torch.rand(()) < 0.15:
        source = augment.compress(source)
    rest = torch.rand(len(source), device=source.device) < rest_share
    keep = (~rest).float()[:, None, None, None]
    return Pairs(
        source=signed(source),
        target=signed(torch.where(rest[:, None, None, None], source, target)),
        flow=pairs.flow * keep,
        trust=torch.where(rest[:, None, None, None], 1.0, pairs.trust),
        visible=torch.where(rest[:, None, None, None], 1.0, pairs.visible),
        landmarks=pairs.landmarks,
        source_weights=pairs.source_weights,
        inside=pairs.inside * keep,
        target_weights=torch.where(rest[:, None], pairs.source_weights, pairs.target_weights),
    )


def plain(pairs: Pairs) -> Pairs:
    """[0, 1] -> [-1, 1] without any augmentation: for validation."""
    values = {**vars(pairs), "source": signed(pairs.source), "target": signed(pairs.target)}
    return Pairs(**values)


class GeneratorTrainer(CompactTrainer):
    """Trains everything but the networks that look at faces."""

    name = "generator"
    plan: GeneratorPlan
    parts = ("encoder", "to_rest", "banks", "decoder")

    def __init__(self, paths: Paths, plan: GeneratorPlan, group: ProcessGroup | None = None) -> None:
        self.has_estimates = False
        super().__init__(paths, plan, group)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        rate = self.plan.trunk_rate
        return {"optimizer": torch.optim.AdamW(self.parameters(), rate, betas=(0.9, 0.98), weight_decay=1e-4)}

    @property
    def in_trunk(self) -> bool:
        """Whether only coarse motion is trained now."""
        return self.done < self.plan.trunk_share

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return 64 if self.in_trunk else 128

    def rate(self) -> float:
        if self.in_trunk:
            return learning_rate(self.plan.trunk_rate, self.optimizer_step, 0.0)
        done = (self.done - self.plan.trunk_share) / (1 - self.plan.trunk_share)
        return learning_rate(self.plan.picture_rate, self.optimizer_step, done)

    def loss(self) -> Outcome:
        plan, size = self.plan, self.size
        count = plan.trunk_batch if self.in_trunk else plan.picture_batch
        share = plan.estimate_share if self.has_estimates and self.done >= plan.estimate_from else 0.0
        batch = self.take((size, share), lambda rng: self.corpus.pairs(rng, count, size, share))
        pairs = dress(batch.on(self.device), plan.rest_share)
        total, values = self._step(self.network, pairs, plan.weight_noise)
        return Outcome(total, values, samples=count)

    def _step(self, network: CompactNetwork, pairs: Pairs, noise: float) -> tuple[Tensor, dict[str, Tensor]]:
        return (trunk_step if self.in_trunk else picture_step)(network, pairs, noise)

    def refresh(self) -> None:
        super().refresh()
        if self.done >= self.plan.estimate_from:
            self.has_estimates = estimate_weights(self.paths.out, self.corpus, self.device)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the losses on fixed hold-out pairs, with the true weights and no noise."""
        if self.holdout is None:
            return {}
        self.holdout.refresh()
        pairs = plain(self.holdout.pairs(np.random.default_rng(1), 128, self.size).on(self.device))
        _, values = self._step(self.average, pairs, 0.0)
        return {name: round(float(value), 5) for name, value in values.items()}
