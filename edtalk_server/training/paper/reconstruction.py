"""Stage 1: encoder and generator learn to redraw a person's other frames (LIA, Wang et al. 2022; the release starts
from LIA's weights instead)."""

from __future__ import annotations

import torch

from edtalk_server.training.datasets.interface import ClipBatch, ClipSet, Random
from edtalk_server.training.loop.trainer import Outcome
from edtalk_server.training.paper.config import StageConfig, StageName
from edtalk_server.training.paper.model import first_rows
from edtalk_server.training.paper.stage import MOUTH, POSE, Batch, Critics, DrawingStage, LossSum


class ReconstructionStage(DrawingStage):
    """L_rec, L_per and L_adv of a frame drawn from the source and the frame's own motion. Mouth and pose bank act as
    one; expression and enhancement are not trained."""

    name = StageName.RECONSTRUCTION

    def __init__(self, config: StageConfig, critics: Critics) -> None:
        super().__init__(config, critics)
        net = self.model.network
        heads = net.heads
        modules = (net.encoder, net.generator, heads.shared, heads.banks[MOUTH], heads.banks[POSE])
        self.train_only([*modules, *self.probes.maps[:2]], slice(0, net.banks.expression_start))

    @staticmethod
    def batch(config: StageConfig, data: ClipSet, rng: Random) -> Batch:
        return data.clips(rng, config.batch, 1)

    def forward(self, batch: Batch, adversarial: bool) -> Outcome:
        if not isinstance(batch, ClipBatch):
            raise TypeError("this stage learns from clips")
        losses = LossSum(self.config.weights, batch.source.device)
        target = batch.frames[:, 0]
        count = len(target)
        encoded = self.model.encode(torch.cat([batch.source, target]))
        source = first_rows(encoded, count)
        motion = self.model.estimate(encoded.latent)
        drawing = self.model.draw(source, motion.mouth[count:] + motion.pose[count:])
        self.critics.add_picture_losses(losses, drawing.picture, target)
        if adversarial:
            self.critics.add_adversarial(losses, drawing.picture)
        if batch.motion is not None:
            self.add_motion_losses(losses, drawing, batch.motion.frame(0))
        if batch.weights is not None and batch.source_weights is not None:
            weights = torch.cat([batch.source_weights, batch.weights[:, 0]])
            self.add_probe_loss(losses, motion, weights, (MOUTH, POSE))
        return Outcome(losses.total, losses.values, batch.source, drawing.picture, target)
