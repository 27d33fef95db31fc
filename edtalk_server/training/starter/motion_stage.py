"""Teaching the networks that look at faces: the motion encoder (weights and landmarks of a well-cropped face, tensors
`motion`) and the landmark detector (landmarks in careless crops, tensors `locator`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edtalk_server.engine.tensors import to_tensor
from edtalk_server.networks.compact import CompactNetwork
from edtalk_server.synthetic.controls import CHANNELS, POSE, STARTER_LAYOUT
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.loop.trainer import Outcome, learning_rate
from edtalk_server.training.starter import augment, losses
from edtalk_server.training.starter.loader import Corpus, Shard, Views
from edtalk_server.training.starter.trainer import CompactTrainer, Paths, Plan, signed

LOUD = {
    "jaw_open": 6.0,
    "smile": 4.0,
    "blink_left": 4.0,
    "blink_right": 4.0,
    "gaze_left": 3.0,
    "gaze_up": 3.0,
}
"""Weights whose errors are seen most, and how much they count; the others count 2."""
_AT_ONCE = 64
"""Pictures that `estimate_weights` takes at a time."""


@dataclass(frozen=True)
class MotionPlan(Plan):
    """The landmark detector learns every `detector_every` steps."""

    minutes: float = 20.0
    batch: int = 64
    rate: float = 2e-3
    detector_every: int = 4
    every_seconds: float = 60.0


def importance() -> Tensor:
    """Return how much each weight's error counts, [36]: pose most, because a head drawn a pixel off costs more than a
    mouth drawn wrong; then the mouth and lid weights that are seen most."""
    weight = torch.full((CHANNELS,), 2.0)
    weight[POSE] = 24.0
    for name, value in LOUD.items():
        weight[STARTER_LAYOUT.index(name)] = value
    return weight


class MotionTrainer(CompactTrainer):
    """Trains the motion encoder and the landmark detector."""

    name = "motion"
    plan: MotionPlan
    parts = ("motion", "locator")
    coarse = False
    decay = 0.99

    def __init__(self, paths: Paths, plan: MotionPlan, group: ProcessGroup | None = None) -> None:
        super().__init__(paths, plan, group)
        self.importance = importance().to(self.device)
        if self.state.step == 0:
            self._start_from_mean()

    @torch.no_grad()
    def _start_from_mean(self) -> None:
        """Let the last layers begin at the mean face, so that the first steps go into what differs."""
        self.corpus.refresh()
        views = self.corpus.views(np.random.default_rng(0), 256).on(self.device)
        landmarks = (views.landmarks - 0.5).mean(0).flatten()
        for network in (self.network, self.average):
            _set_bias(network.motion.numbers, views.weights.mean(0))
            _set_bias(network.locator.numbers, landmarks)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimizer": torch.optim.AdamW(self.parameters(), self.plan.rate, weight_decay=1e-2)}

    def rate(self) -> float:
        return learning_rate(self.plan.rate, self.optimizer_step, self.done, warm_up=60, floor=0.01)

    def loss(self) -> Outcome:
        batch = self.plan.batch
        views = self.take("views", lambda rng: self.corpus.views(rng, batch)).on(self.device)
        total = encoder = self._encoder_loss(views)
        values = {"encoder": encoder}
        if self.state.step % self.plan.detector_every == 0:
            values["detector"] = self._detector_loss(views)
            total = encoder + values["detector"]
        return Outcome(total, values, samples=batch)

    def _encoder_loss(self, views: Views) -> Tensor:
        """Return the loss of the motion encoder on well-cropped faces."""
        pictures = signed(augment.photographed(views.images))
        with torch.autocast(self.device.type, torch.bfloat16):
            output = self.network.motion(pictures)
        return losses.estimation_loss(output, views.weights, views.landmarks, self.importance)

    def _detector_loss(self, views: Views) -> Tensor:
        """Return the loss of the landmark detector on careless crops of the same pictures."""
        careless, points = augment.reframed(views.images, views.landmarks)
        pictures = signed(augment.photographed(torch.nn.functional.avg_pool2d(careless, 2)))
        with torch.autocast(self.device.type, torch.bfloat16):
            output = self.network.locator(pictures)
        return losses.DETECTOR_SHARE * losses.landmark_loss(output, points)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return, for people never trained on, R² of each bank and of some weights, and mean landmark errors in parts
        of the picture."""
        if self.holdout is None:
            return {}
        self.holdout.refresh()
        views = self.holdout.views(np.random.default_rng(1), 512).on(self.device)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            careless, points = augment.reframed(views.images, views.landmarks)
        network = self.average
        output = network.motion(signed(views.images))
        error = (output[:, :CHANNELS] - views.weights).square().mean(0)
        r2 = 1 - error / views.weights.var(0).clamp(min=1e-6)
        change, estimated = (x[0::2] - x[1::2] for x in (views.weights, output[:, :CHANNELS]))
        change_r2 = 1 - (estimated - change).square().mean(0) / change.square().mean(0).clamp(min=1e-6)
        own = (output[:, CHANNELS:].reshape(-1, 68, 2) + 0.5 - views.landmarks).norm(dim=2).mean()
        loose = (network.landmarks_of(signed(careless)) - points).norm(dim=2).mean()
        names = ("jaw_open", "pitch", "yaw", "roll", "shift_x", "scale", "smile", "blink_left", "gaze_left")
        scores = {name: round(float(r2[STARTER_LAYOUT.index(name)]), 3) for name in names}
        banks = {"mouth": r2[:20].mean(), "pose": r2[POSE].mean(), "expression": r2[26:].mean()}
        banks["pose_change"] = change_r2[POSE].mean()
        return {
            **{name: round(float(value), 3) for name, value in banks.items()},
            **scores,
            "landmarks": round(float(own), 4),
            "careless_landmarks": round(float(loose), 4),
        }


def _set_bias(layers: nn.Module, mean: Tensor) -> None:
    last = [layer for layer in layers.modules() if isinstance(layer, nn.Linear)][-1]
    last.bias.copy_(mean)
    last.weight.mul_(0.2)


def estimate_weights(folder: Path, corpus: Corpus, device: torch.device) -> bool:
    """Fill each shard's `estimated` with the finished motion encoder of `folder`; False while there is none. Rows that
    have an estimate keep it."""
    path = folder / f"{MotionTrainer.name}.pt"
    shards = corpus.shards.values()
    if all(shard.estimated is not None and len(shard.estimated) >= shard.rows for shard in shards):
        return True
    if not path.is_file():
        return False
    state = checkpoint.load(path)
    if not state["finished"]:
        return False
    network = CompactNetwork.from_config(state["config"])
    network.load_state_dict(state["average"], strict=False)
    network.eval().to(device)
    for shard in shards:
        known = np.zeros((0, CHANNELS), np.float32) if shard.estimated is None else shard.estimated
        shard.estimated = np.concatenate([known, *_estimate_rows(network, shard, len(known), device)])
    return True


@torch.no_grad()
def _estimate_rows(
    network: CompactNetwork, shard: Shard, begin: int, device: torch.device
) -> list[npt.NDArray[np.float32]]:
    """Return the network's weights for the rows from `begin` on, in blocks."""
    blocks = []
    for first in range(begin, shard.rows, _AT_ONCE):
        block = np.array(shard.arrays["img"][first : min(first + _AT_ONCE, shard.rows)])
        images = to_tensor(block).to(device).contiguous(memory_format=torch.channels_last)
        blocks.append(network.weights_of(images).cpu().numpy())
    return blocks
