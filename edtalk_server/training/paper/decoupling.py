"""Stage 2: mouth and pose learn to move alone, by cross-reconstruction (paper section 3.2)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from edtalk_server.networks.interface import Encoding
from edtalk_server.training.datasets.interface import ClipBatch, ClipSet, Motion, Random, SwapBatch
from edtalk_server.training.loop.trainer import Outcome
from edtalk_server.training.paper.composites import paste_mouths
from edtalk_server.training.paper.config import StageConfig, StageName
from edtalk_server.training.paper.losses import FeatureConsistency
from edtalk_server.training.paper.model import MotionLatents, first_rows
from edtalk_server.training.paper.reconstruction import ReconstructionStage
from edtalk_server.training.paper.stage import MOUTH, POSE, Batch, Critics, LossSum, choose_swaps


class _Task(NamedTuple):
    """The task of a batch: redraw `target` from `source`, once with mouth and pose of two other pictures (`cross`),
    once with those of the target itself (`direct`)."""

    source_pictures: Tensor
    target: Tensor
    source: Encoding
    cross: MotionLatents
    direct: MotionLatents
    motion: Motion | None
    weights: Tensor | None


class MouthPoseStage(ReconstructionStage):
    """L_rec, L_per, L_adv, L_fea and L_self; everything but expression and enhancement is trained, as in the release,
    or heads and banks alone (`freeze_backbone`, the paper's supplement).

    Clips come in pairs of people a and b. On each the other's mouth is pasted; then a's frame must be drawn with the
    mouth of "b with a's mouth" and the pose of "a with b's mouth", and likewise b's. Swaps need no pasting:
    the true picture of mouth and pose together is known.

    Without L_self (its factor 0) nothing is drawn by the target's own mouth and pose, so neither critic nor truth
    teaches that branch; L_fea still compares its latents.
    """

    name = StageName.MOUTH_POSE
    before = StageName.RECONSTRUCTION

    def __init__(self, config: StageConfig, critics: Critics) -> None:
        super().__init__(config, critics)
        self._consistency = FeatureConsistency()
        if config.freeze_backbone:
            self.needs_before = True
            for module in (self.model.network.encoder, self.model.network.generator):
                module.requires_grad_(requires_grad=False)

    def begin_with(self, earlier: StageName) -> None:
        if earlier is StageName.RECONSTRUCTION and self.config.fresh_banks:
            self.model.renew_banks()

    @staticmethod
    def batch(config: StageConfig, data: ClipSet, rng: Random) -> Batch:
        swaps = choose_swaps(config, data, rng, keep_expression=True)
        return swaps or data.clips(rng, config.batch + config.batch % 2, 1)

    def forward(self, batch: Batch, adversarial: bool) -> Outcome:
        task = self._swap(batch) if isinstance(batch, SwapBatch) else self._pairs(batch)
        losses = LossSum(self.config.weights, task.target.device)
        branches = [task.cross, task.direct] if self.config.weights.self_reconstruction else [task.cross]
        drawings = [self.model.draw(task.source, latents.mouth + latents.pose) for latents in branches]
        self.critics.add_picture_losses(losses, drawings[0].picture, task.target)
        for itself in drawings[1:]:
            losses.add("self_reconstruction", partial(self._picture_loss, itself.picture, task.target))
        losses.add("feature", lambda: self._features_agree(task))
        drawn = torch.cat([drawing.picture for drawing in drawings])
        if adversarial:
            self.critics.add_adversarial(losses, drawn)
        if task.motion is not None:
            for drawing in drawings:
                self.add_motion_losses(losses, drawing, task.motion)
        if task.weights is not None:
            for latents in branches:
                self.add_probe_loss(losses, latents, task.weights, (MOUTH, POSE))
        repeated = [torch.cat([pictures] * len(drawings)) for pictures in (task.source_pictures, task.target)]
        return Outcome(losses.total, losses.values, repeated[0], drawn, repeated[1])

    def _picture_loss(self, drawn: Tensor, true: Tensor) -> Tensor:
        """Return L_self: L_rec and L_per of the frame redrawn with its own motion, by their own factors."""
        inner = LossSum(self.config.weights, drawn.device)
        self.critics.add_picture_losses(inner, drawn, true)
        return inner.total

    def _features_agree(self, task: _Task) -> Tensor:
        return self._consistency((task.cross.mouth, task.direct.mouth), (task.cross.pose, task.direct.pose))

    def _pairs(self, batch: ClipBatch) -> _Task:
        target, landmarks = batch.frames[:, 0], batch.landmarks[:, 0]
        count = len(target)
        mouthed = paste_mouths(target, landmarks, _partner(target), _partner(landmarks))
        encoded = self.model.encode(torch.cat([batch.source, target, mouthed]))
        direct, pasted = self.model.estimate(encoded.latent[count:]).split(count)
        return _Task(
            source_pictures=batch.source,
            target=target,
            source=first_rows(encoded, count),
            cross=MotionLatents(_partner(pasted.mouth), pasted.pose, pasted.expression),
            direct=direct,
            motion=batch.motion.frame(0) if batch.motion is not None else None,
            weights=batch.weights[:, 0] if batch.weights is not None else None,
        )

    def _swap(self, batch: SwapBatch) -> _Task:
        count = len(batch.target)
        encoded = self.model.encode(torch.cat([batch.source, batch.mouth, batch.pose, batch.target]))
        _, mouth, pose, own = self.model.estimate(encoded.latent).split(count)
        return _Task(
            source_pictures=batch.source,
            target=batch.target,
            source=first_rows(encoded, count),
            cross=MotionLatents(mouth.mouth, pose.pose, own.expression),
            direct=own,
            motion=batch.motion,
            weights=batch.weights,
        )


def _partner(rows: Tensor) -> Tensor:
    """Return the other one of each pair: rows come as a_1 .. a_n, b_1 .. b_n."""
    half = len(rows) // 2
    return torch.cat([rows[half:], rows[:half]])
