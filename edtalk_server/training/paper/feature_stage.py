"""Stage `features`: our own feature network learns to predict parts, landmarks and weights of rendered faces."""

from __future__ import annotations

import torch

from edtalk_server.training.datasets.interface import ClipBatch, ClipSet, Random
from edtalk_server.training.loop.trainer import Outcome
from edtalk_server.training.paper.config import StageConfig, StageName
from edtalk_server.training.paper.features import FeatureNetwork, teaching_losses
from edtalk_server.training.paper.stage import Batch, Stage
from shared_protocol.errors import EDTalkError, ErrorCode


class FeatureStage(Stage[Batch]):
    """Needs rendered data: filmed clips lack the truth."""

    name = StageName.FEATURES
    model: FeatureNetwork

    def __init__(self, config: StageConfig) -> None:
        super().__init__(config)
        self.model = FeatureNetwork()

    @staticmethod
    def batch(config: StageConfig, data: ClipSet, rng: Random) -> Batch:
        return data.clips(rng, config.batch, 1)

    def forward(self, batch: Batch, adversarial: bool) -> Outcome:
        if not isinstance(batch, ClipBatch) or batch.weights is None:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                "The feature network learns from rendered clips only: filmed ones do not say what they show.",
                'Name data of the kind "rendered" or "cached".',
            )
        pictures = batch.frames[:, 0]
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=self.config.bf16):
            prediction = self.model(pictures)
        parts = batch.parts[:, 0] if batch.parts is not None else None
        losses = teaching_losses(prediction.plain(), batch.landmarks[:, 0], batch.weights[:, 0], parts)
        values = {name: value.detach() for name, value in losses.items()}
        return Outcome(torch.stack(list(losses.values())).sum(), values)
