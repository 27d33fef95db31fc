"""Teaching the networks that read faces: weights (`motion`) and landmarks in careless crops (`locator`)."""

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
from edtalk_server.training.loop.peers import Peers
from edtalk_server.training.loop.stage import Paths, Plan, Stage, learning_rate, load, signed
from edtalk_server.training.starter import augment, losses
from edtalk_server.training.starter.loader import Corpus, Shard, Views

LOUD = {
    "jaw_open": 6.0,
    "smile": 4.0,
    "blink_left": 4.0,
    "blink_right": 4.0,
    "gaze_left": 3.0,
    "gaze_up": 3.0,
}
"""Weights whose errors are seen most, and how much more they count than the others."""
_AT_ONCE = 64
"""Pictures read at a time by `read_weights`."""


@dataclass(frozen=True)
class MotionPlan(Plan):
    """How long and how."""

    minutes: float = 20.0
    batch: int = 64
    rate: float = 2e-3
    finding_every: int = 4
    every_seconds: float = 60.0


def importance() -> Tensor:
    """[36]: pose most, because a head drawn a pixel off costs more than a mouth drawn wrong; then the loudest mouth and
    lid weights."""
    weight = torch.full((CHANNELS,), 2.0)
    weight[POSE] = 24.0
    for name, value in LOUD.items():
        weight[STARTER_LAYOUT.index(name)] = value
    return weight


class MotionStage(Stage):
    """Trains the readers of faces."""

    name = "motion"
    parts = ("motion", "locator")
    horizon = 0.99

    def __init__(self, paths: Paths, plan: MotionPlan, peers: Peers | None = None) -> None:
        self.plan = plan
        super().__init__(paths, plan, coarse=False, peers=peers)
        self.importance = importance().to(self.device)
        if self.progress.step == 0:
            self._start_from_mean()

    @torch.no_grad()
    def _start_from_mean(self) -> None:
        """Let the last layers begin at the mean face, so that the first steps go into what differs."""
        self.corpus.refresh()
        views = self.corpus.views(np.random.default_rng(0), 256).on(self.device)
        landmarks = (views.landmarks - 0.5).mean(0).flatten()
        for network in (self.network, self.average.network):
            _set_bias(network.motion.numbers, views.weights.mean(0))
            _set_bias(network.locator.numbers, landmarks)

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), self.plan.rate, weight_decay=1e-2)

    def rate(self) -> float:
        return learning_rate(self.plan.rate, self.warm, self.done, warm_up=60, floor=0.01)

    def loss(self) -> tuple[Tensor, int, dict[str, Tensor]]:
        made = self.ahead.take("views", lambda rng: self.corpus.views(rng, self.plan.batch))
        views = made.on(self.device)
        loss = reading = self._reading(views)
        values = {"reading": reading}
        if self.progress.step % self.plan.finding_every == 0:
            values["finding"] = self._finding(views)
            loss = reading + values["finding"]
        return loss, self.plan.batch, values

    def _reading(self, views: Views) -> Tensor:
        """The loss of `motion` on well-cropped faces."""
        pictures = signed(augment.photographed(views.images))
        with torch.autocast(self.device.type, torch.bfloat16):
            said = self.network.motion(pictures)
        return losses.reading_loss(said, views.weights, views.landmarks, self.importance)

    def _finding(self, views: Views) -> Tensor:
        """The loss of `locator` on careless crops of the same pictures."""
        careless, points = augment.reframed(views.images, views.landmarks)
        pictures = signed(augment.photographed(torch.nn.functional.avg_pool2d(careless, 2)))
        with torch.autocast(self.device.type, torch.bfloat16):
            found = self.network.locator(pictures)
        return losses.LANDMARK_SHARE * losses.landmark_loss(found, points)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On people never trained on: R² of each bank and of some weights; landmark errors in parts of the picture."""
        if self.holdout is None:
            return {}
        self.holdout.refresh()
        views = self.holdout.views(np.random.default_rng(1), 512).on(self.device)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            careless, points = augment.reframed(views.images, views.landmarks)
        network = self.average.network
        said = network.motion(signed(views.images))
        error = (said[:, :CHANNELS] - views.weights).square().mean(0)
        r2 = 1 - error / views.weights.var(0).clamp(min=1e-6)
        change, said_change = (x[0::2] - x[1::2] for x in (views.weights, said[:, :CHANNELS]))
        change_r2 = 1 - (said_change - change).square().mean(0) / change.square().mean(0).clamp(min=1e-6)
        own = (said[:, CHANNELS:].reshape(-1, 68, 2) + 0.5 - views.landmarks).norm(dim=2).mean()
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


def read_weights(folder: Path, corpus: Corpus, device: torch.device) -> bool:
    """Fill each shard's `read` from the finished motion encoder of `folder`; False while there is none. Rows that were
    read before stay."""
    path = folder / f"{MotionStage.name}.pt"
    if all(shard.read is not None and len(shard.read) >= shard.rows for shard in corpus.shards.values()):
        return True
    if not path.is_file():
        return False
    state = load(path)
    if not state["finished"]:
        return False
    network = CompactNetwork.from_config(state["config"])
    network.load_state_dict(state["average"], strict=False)
    network.eval().to(device)
    for shard in corpus.shards.values():
        known = np.zeros((0, CHANNELS), np.float32) if shard.read is None else shard.read
        shard.read = np.concatenate([known, *_read_rows(network, shard, len(known), device)])
    return True


@torch.no_grad()
def _read_rows(
    network: CompactNetwork, shard: Shard, begin: int, device: torch.device
) -> list[npt.NDArray[np.float32]]:
    """What the network says of the rows from `begin` on, in blocks."""
    blocks = []
    for first in range(begin, shard.rows, _AT_ONCE):
        block = np.array(shard.arrays["img"][first : min(first + _AT_ONCE, shard.rows)])
        images = to_tensor(block).to(device)
        said = network.weights_of(images.contiguous(memory_format=torch.channels_last))
        blocks.append(said.cpu().numpy())
    return blocks
