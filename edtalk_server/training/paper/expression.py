"""Stage 3: expression, by self-reconstruction complementary learning (paper section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edtalk_server.networks.interface import Encoding
from edtalk_server.training.datasets.interface import ClipBatch, ClipSet, Motion, Random, SwapBatch
from edtalk_server.training.loop.trainer import Outcome
from edtalk_server.training.paper.config import StageConfig, StageName
from edtalk_server.training.paper.losses import MotionReconstruction, MouthConsistency
from edtalk_server.training.paper.model import MotionLatents, first_rows
from edtalk_server.training.paper.perceptual import open_feature_network
from edtalk_server.training.paper.stage import (
    EXPRESSION,
    Batch,
    Critics,
    DrawingStage,
    LossSum,
    choose_swaps,
)
from shared_protocol.errors import EDTalkError, ErrorCode


class _Task(NamedTuple):
    """Redraw `target` from `source` with `motion`, whose mouth and pose are known and whose expression is learned.
    `mouth` [B, style_dim] is the mouth's latent in the target itself."""

    source_pictures: Tensor
    target: Tensor
    source: Encoding
    motion: MotionLatents
    mouth: Tensor
    truth: Motion | None
    weights: Tensor | None


class ExpressionStage(DrawingStage):
    """L_rec, L_per, L_adv, L_mot and L_m-c. Only the expression head (ELN), its bank and the enhancement (EEM) are
    trained: mouth and pose are already explained by frozen modules, so what is left to explain is the expression.

    The expression is the mean over a window of K frames, so that the mouth's quick movements cannot hide in it.
    """

    name = StageName.EXPRESSION
    before = StageName.MOUTH_POSE
    needs_before = True

    def __init__(self, config: StageConfig, critics: Critics) -> None:
        super().__init__(config, critics)
        net = self.model.network
        if not config.network.expression:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                "The config's network has no expression bank, so there is no expression to learn.",
                "Set `expression` of `network` above 0, from the first stage on.",
            )
        self.train_only(
            [net.heads.banks[EXPRESSION], net.enhancement, self.probes.maps[EXPRESSION]],
            slice(net.banks.expression_start, None),
        )
        if not config.ablation.enhancement:
            net.enhancement.requires_grad_(requires_grad=False)
        self._same_mouth = MouthConsistency()
        self._observer = [open_feature_network(config.judging)] if config.weights.motion else []

    def begin_with(self, earlier: StageName) -> None:
        if earlier is not StageName.EXPRESSION:
            self.model.quiet_expression()

    @staticmethod
    def batch(config: StageConfig, data: ClipSet, rng: Random) -> Batch:
        swaps = choose_swaps(config, data, rng, keep_expression=False)
        return swaps or data.clips(rng, config.batch, config.window if data.consecutive else 1)

    def forward(self, batch: Batch, adversarial: bool) -> Outcome:
        task = self._swap(batch) if isinstance(batch, SwapBatch) else self._window(batch)
        losses = LossSum(self.config.weights, task.target.device)
        mouth, pose, expression = task.motion
        drawing = self.model.draw(task.source, mouth + pose + expression, expression)
        drawn = drawing.picture
        self.critics.add_picture_losses(losses, drawn, task.target)
        if adversarial:
            self.critics.add_adversarial(losses, drawn)
        losses.add("motion", lambda: self._same_motion(drawn, task.target))
        losses.add("mouth_consistency", lambda: self._same_mouth(self._mouth_of(drawn), task.mouth.detach()))
        if task.truth is not None:
            self.add_motion_losses(losses, drawing, task.truth)
        if task.weights is not None:
            self.add_probe_loss(losses, task.motion, task.weights, (EXPRESSION,))
        return Outcome(losses.total, losses.values, task.source_pictures, drawn, task.target)

    def _same_motion(self, drawn: Tensor, true: Tensor) -> Tensor:
        return MotionReconstruction(self._observer[0].to(drawn.device))(drawn, true)

    def _mouth_of(self, drawn: Tensor) -> Tensor:
        return self.model.estimate(self.model.encode(drawn).latent).mouth

    def _encoded(self, *pictures: Tensor) -> Encoding:
        with torch.no_grad():  # frozen
            return self.model.encode(torch.cat(pictures))

    def _window(self, batch: ClipBatch) -> _Task:
        count, length = batch.frames.shape[:2]
        middle = length // 2
        encoded = self._encoded(batch.source, batch.frames.flatten(0, 1))
        every = self.model.estimate(encoded.latent[count:])
        mouth, pose, expression = (latents.unflatten(0, (count, length)) for latents in every)
        weights = None
        if batch.weights is not None:
            weights = batch.weights.mean(1)  # only its expression is used
        return _Task(
            source_pictures=batch.source,
            target=batch.frames[:, middle],
            source=first_rows(encoded, count),
            motion=MotionLatents(mouth[:, middle], pose[:, middle], expression.mean(1)),
            mouth=mouth[:, middle],
            truth=batch.motion.frame(middle) if batch.motion is not None else None,
            weights=weights,
        )

    def _swap(self, batch: SwapBatch) -> _Task:
        count = len(batch.target)
        encoded = self._encoded(batch.source, batch.mouth, batch.pose, batch.expression, batch.target)
        _, mouth, pose, expression, target = self.model.estimate(encoded.latent).split(count)
        return _Task(
            source_pictures=batch.source,
            target=batch.target,
            source=first_rows(encoded, count),
            motion=MotionLatents(mouth.mouth, pose.pose, expression.expression),
            mouth=target.mouth,
            truth=batch.motion,
            weights=batch.weights,
        )
