"""Fitting the reader to the finished generator: what it reads is asked to draw the right picture.

The weights that the renderer calls true are not all to be seen in a picture: a head a little nearer and one a little
lower may look the same. Read apart, such errors add up; read so that the drawn face lies where the true one does, they
cancel. The generator is frozen, so the weights keep their meaning, and the reading is still held to the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edtalk_server.synthetic.controls import CHANNELS
from edtalk_server.training.loop.peers import Peers
from edtalk_server.training.loop.stage import Paths, Plan, Stage, learning_rate
from edtalk_server.training.starter import losses
from edtalk_server.training.starter.generator_stage import PICTURE_LEVELS, dress, plain
from edtalk_server.training.starter.loader import Corpus, Pairs
from edtalk_server.training.starter.motion_stage import importance

ROWS = 8000
"""Frames of each shard that are enough for this."""


@dataclass(frozen=True)
class FitPlan(Plan):
    """How long and how; the shares weigh the picture and the flow against the reading."""

    minutes: float = 12.0
    batch: int = 16
    rate: float = 3e-4
    picture_share: float = 4.0
    flow_share: float = 8.0
    every_seconds: float = 60.0


class FitStage(Stage):
    """Trains the reader on what the generator makes of its readings. Begins with both stages' averaged networks."""

    name = "fit"
    parts = ("motion",)
    horizon = 0.99

    def __init__(self, paths: Paths, plan: FitPlan, peers: Peers | None = None) -> None:
        self.plan = plan
        super().__init__(paths, plan, coarse=True, peers=peers)
        self.importance = importance().to(self.device)
        self.corpus = Corpus(paths.data, limit=ROWS)
        for stage in ("generator", "motion"):
            if stage == "generator" or self.progress.step == 0:
                self._begin_with(paths.out / f"{stage}.pt")
        own = {id(parameter) for parameter in self.parameters()}
        for parameter in self.network.parameters():
            parameter.requires_grad_(id(parameter) in own)

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), self.plan.rate, weight_decay=1e-2)

    def rate(self) -> float:
        return learning_rate(self.plan.rate, self.warm, self.done, warm_up=50, floor=0.02)

    def loss(self) -> tuple[Tensor, int, dict[str, Tensor]]:
        count = self.plan.batch
        made = self.ahead.take("pairs", lambda rng: self.corpus.pairs(rng, count, 128))
        pairs = dress(made.on(self.device), rest_share=0.0)
        picture, flow, reading = self._losses(pairs)
        total = self.plan.picture_share * picture + self.plan.flow_share * flow + reading
        return total, count, {"picture": picture, "flow": flow, "reading": reading}

    def _losses(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
        """Of the picture that the readings draw, of its flow, and of the readings themselves."""
        network, count = self.network, len(pairs.source)
        with torch.autocast(self.device.type, torch.bfloat16):
            said = network.motion(torch.cat([pairs.source, pairs.target]))
            read = said[:, :CHANNELS]
            drawing = network.draw(network.encode(pairs.source), network.basis(), read[count:] - read[:count])
            made = network.compose(pairs.source, drawing)
        flow, _ = losses.motion_losses(drawing.levels, pairs, PICTURE_LEVELS)
        truth = torch.cat([pairs.source_weights, pairs.target_weights])
        change = (read[count:] - read[:count]) - (pairs.target_weights - pairs.source_weights)
        reading = ((read - truth).square() * self.importance).mean() + (
            change.square() * self.importance
        ).mean()
        places = (said[count:, CHANNELS:] - (pairs.landmarks - 0.5).flatten(1)).abs().mean()
        return (made - pairs.target).abs().mean(), flow, 0.5 * reading + losses.PLACES_SHARE * places

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The picture's error, with read weights, on fixed pairs of people it was never trained on."""
        if self.holdout is None:
            return {}
        self.holdout.refresh()
        pairs = plain(self.holdout.pairs(np.random.default_rng(1), 128, 128).on(self.device))
        network = self.average.network
        change = network.weights_of(pairs.target) - network.weights_of(pairs.source)
        drawing = network.draw(network.encode(pairs.source), network.basis(), change)
        error = network.compose(pairs.source, drawing) - pairs.target
        decibel = 10 * torch.log10(4 / error.square().mean((1, 2, 3))).mean()
        return {"l1": round(float(error.abs().mean()), 5), "psnr_128": round(float(decibel), 3)}
