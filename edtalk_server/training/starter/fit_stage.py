"""Fitting the motion encoder to the finished generator: what it estimates must draw the right picture.

Not all of the renderer's true weights can be seen in a picture: a head a little nearer and one a little lower may look
the same. Estimated apart, such errors add up; estimated so that the drawn face lies where the true one does, they
cancel. The generator is frozen, so the weights keep their meaning, and the estimates are still held to the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edtalk_server.synthetic.controls import CHANNELS
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.loop.trainer import Outcome, learning_rate
from edtalk_server.training.starter import losses
from edtalk_server.training.starter.generator_stage import PICTURE_LEVELS, dress, plain
from edtalk_server.training.starter.loader import Corpus, Pairs
from edtalk_server.training.starter.motion_stage import importance
from edtalk_server.training.starter.trainer import CompactTrainer, Paths, Plan

ROWS = 8000
"""Frames of each shard that are enough for this."""


@dataclass(frozen=True)
class FitPlan(Plan):
    """The shares weigh the picture and the flow against the estimates' own loss."""

    minutes: float = 12.0
    batch: int = 16
    rate: float = 3e-4
    picture_share: float = 4.0
    flow_share: float = 8.0
    every_seconds: float = 60.0


class FitTrainer(CompactTrainer):
    """Trains the motion encoder on what the generator draws from its estimates. Begins with both stages' averages."""

    name = "fit"
    plan: FitPlan
    parts = ("motion",)
    decay = 0.99

    def __init__(self, paths: Paths, plan: FitPlan, group: ProcessGroup | None = None) -> None:
        super().__init__(paths, plan, group)
        self.importance = importance().to(self.device)
        self.corpus = Corpus(paths.data, limit=ROWS)
        self.take_over(paths.out / "generator.pt")
        if self.state.step == 0:
            self.take_over(paths.out / "motion.pt")
        trained = {id(parameter) for parameter in self.parameters()}
        for parameter in self.network.parameters():
            parameter.requires_grad_(id(parameter) in trained)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimizer": torch.optim.AdamW(self.parameters(), self.plan.rate, weight_decay=1e-2)}

    def rate(self) -> float:
        return learning_rate(self.plan.rate, self.optimizer_step, self.done, warm_up=50, floor=0.02)

    def loss(self) -> Outcome:
        plan = self.plan
        pairs = self.take("pairs", lambda rng: self.corpus.pairs(rng, plan.batch, 128))
        picture, flow, estimates = self._losses(dress(pairs.on(self.device), rest_share=0.0))
        total = plan.picture_share * picture + plan.flow_share * flow + estimates
        return Outcome(total, {"picture": picture, "flow": flow, "estimates": estimates}, samples=plan.batch)

    def _losses(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses of the picture drawn from the estimates, of its flow, and of the estimates themselves."""
        network, count = self.network, len(pairs.source)
        with torch.autocast(self.device.type, torch.bfloat16):
            output = network.motion(torch.cat([pairs.source, pairs.target]))
            weights = output[:, :CHANNELS]
            drawing = network.draw(
                network.encode(pairs.source), network.basis(), weights[count:] - weights[:count]
            )
            picture = network.compose(pairs.source, drawing)
        flow, _ = losses.motion_losses(drawing.levels, pairs, PICTURE_LEVELS)
        truth = torch.cat([pairs.source_weights, pairs.target_weights])
        change = (weights[count:] - weights[:count]) - (pairs.target_weights - pairs.source_weights)
        error = ((weights - truth).square() + change.square().repeat(2, 1)) * self.importance
        landmarks = (output[count:, CHANNELS:] - (pairs.landmarks - 0.5).flatten(1)).abs().mean()
        estimates = 0.5 * error.mean() + losses.ENCODER_LANDMARK_SHARE * landmarks
        return (picture - pairs.target).abs().mean(), flow, estimates

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the picture's error, drawn from estimated weights, on fixed pairs of people never trained on."""
        if self.holdout is None:
            return {}
        self.holdout.refresh()
        pairs = plain(self.holdout.pairs(np.random.default_rng(1), 128, 128).on(self.device))
        network = self.average
        change = network.weights_of(pairs.target) - network.weights_of(pairs.source)
        drawing = network.draw(network.encode(pairs.source), network.basis(), change)
        error = network.compose(pairs.source, drawing) - pairs.target
        decibel = 10 * torch.log10(4 / error.square().mean((1, 2, 3))).mean()
        return {"l1": round(float(error.abs().mean()), 5), "psnr_128": round(float(decibel), 3)}
