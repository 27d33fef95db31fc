"""What all training stages share: time, learning rate, averaged weights, and checkpoints that survive a kill."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edtalk_server.networks.compact import CompactConfig, CompactNetwork
from edtalk_server.training.loop.peers import EVERY, Peers
from edtalk_server.training.loop.prefetcher import Ahead
from edtalk_server.training.starter.loader import Corpus
from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)


STARTER = CompactConfig(reader="points", tone=True, refined=True)
"""The network that the starter bundle has."""


@dataclass
class Progress:
    """How far a stage is; saved with each checkpoint. `seconds` counts time in the loop only, over all sittings."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What every stage's plan has: how long, from which seed, how often to save; `start` is a checkpoint of an earlier
    run, or a bundle's `face.safetensors`, whose tensors a new one begins with, where names and shapes fit; `network`
    replaces fields of the starter's `CompactConfig`; `threads` make batches ahead (for a graphics card; on a CPU they
    would be in the way)."""

    minutes: float
    seed: int = 0
    every_seconds: float = 120.0
    start: str = ""
    network: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 0


@dataclass(frozen=True)
class Paths:
    """Where a stage keeps its checkpoints, and the shards it learns from and is measured on."""

    out: Path
    data: Path
    holdout: Path | None = None


def learning_rate(peak: float, step: int, done: float, warm_up: int = 200, floor: float = 0.03) -> float:
    """A linear rise over `warm_up` steps, then half a cosine over `done` 0..1 down to `floor` of the peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done))))
    return peak * min(1.0, (step + 1) / warm_up) * max(floor, cosine)


class Average:
    """The exponential average of a network's parameters, which draws steadier pictures than the last step's."""

    def __init__(self, network: CompactNetwork, horizon: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self.horizon = horizon

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Take a step towards `network`; larger ones at the start. Buffers are copied."""
        keep = min(self.horizon, (step + 4) / (step + 40))
        for mine, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - keep)
        for own, other in zip(self.network.buffers(), network.buffers(), strict=True):
            own.copy_(other)


@dataclass
class Meter:
    """Means of named numbers since the last report."""

    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    count: int = 0

    def add(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self.sums[name] += float(value.detach())
        self.count += 1

    def take(self) -> dict[str, float]:
        """The means, and start anew."""
        means = {name: round(total / max(1, self.count), 5) for name, total in self.sums.items()}
        self.sums.clear()
        self.count = 0
        return means


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a reader sees the old one or the new one, never a part."""
    with atomic_write.replacing(path) as partial:
        torch.save(state, partial)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint: tensors and plain numbers only, nothing executable."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _full(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def curves(folder: Path, step: int, line: Mapping[str, Any]) -> None:
    """The numbers of a report as TensorBoard curves, where TensorBoard is installed; the JSON lines have them all."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(str(folder)) as writer:  # type: ignore[no-untyped-call]
        for part in ("train", "holdout"):
            for name, value in line[part].items():
                writer.add_scalar(f"{part}/{name}", value, step)  # type: ignore[no-untyped-call]


def signed(images: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1], laid out as CPU convolutions like it."""
    return (images * 2 - 1).contiguous(memory_format=torch.channels_last)


class Stage(ABC):
    """A run: `train()` works until the plan's minutes are used up, and can be killed and started again at any time.

    A stage trains the submodules `parts` of the compact network and keeps them in `<name>.pt`.
    """

    name: str
    parts: tuple[str, ...]
    horizon = 0.998

    def __init__(self, paths: Paths, plan: Plan, coarse: bool, peers: Peers | None = None) -> None:
        self.paths = paths
        self.peers = peers or Peers()
        torch.manual_seed(plan.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = CompactConfig.from_dict({**STARTER.to_dict(), **plan.network})
        self.network = CompactNetwork(config).to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.train()
        self.average = Average(self.network, self.horizon)
        self.optimizer = self.make_optimizer()
        self.progress = Progress()
        self.began_at = 0
        if plan.start:
            self._begin_with(Path(plan.start))
        self.minutes, self.every_seconds = plan.minutes, plan.every_seconds
        self.corpus = Corpus(paths.data, coarse=coarse)
        self.holdout = Corpus(paths.holdout, limit=1024, coarse=coarse) if paths.holdout else None
        self._resume()
        seed = plan.seed + self.progress.step + 1_000_000 * self.peers.rank
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.ahead: Ahead[Any] = Ahead(plan.threads, self.rng)

    @abstractmethod
    def make_optimizer(self) -> torch.optim.Optimizer:
        """Over `self.parameters()`."""

    @abstractmethod
    def rate(self) -> float:
        """The learning rate of the next step."""

    @abstractmethod
    def loss(self) -> tuple[Tensor, int, dict[str, Tensor]]:
        """Of a new batch: what to descend, how many samples it was made of, and its parts for the report."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Measured with the averaged network on faces never trained on; empty without a hold-out."""

    @property
    def warm(self) -> int:
        """Steps since the optimizer started."""
        return self.progress.step - self.began_at

    @property
    def done(self) -> float:
        """The part of the plan that is behind us, 0..1."""
        return self.progress.seconds / (60 * self.minutes)

    def parameters(self) -> list[nn.Parameter]:
        """What this stage trains."""
        return [p for name, p in self.network.named_parameters() if name.split(".")[0] in self.parts]

    def state_of(self, network: CompactNetwork) -> dict[str, Tensor]:
        """The tensors of this stage's parts."""
        return {name: v for name, v in network.state_dict().items() if name.split(".")[0] in self.parts}

    def train(self, until: float = math.inf) -> bool:
        """Run to the end of the plan, or until this moment of `time.monotonic`; whether the plan is done. A checkpoint
        and a report every so often and at the end; new data is taken in as it comes."""
        self.until = until
        meter = Meter()
        self.corpus.refresh()
        mark, due = time.monotonic(), self.progress.seconds + self.every_seconds
        while not self._ended() and not self._interrupted():
            meter.add(self._step())
            now = time.monotonic()
            self.progress.seconds += now - mark
            mark = now
            self._meet()
            if self.progress.seconds >= due or self._ended() or self._interrupted():
                self.checkpoint(meter.take())
                due = self.progress.seconds + self.every_seconds
                mark = time.monotonic()
        return self.done >= 1

    def _interrupted(self) -> bool:
        return self.peers.world == 1 and time.monotonic() >= self.until

    def _ended(self) -> bool:
        """Whether the time is up; several processes agree on that only when they have just met."""
        return self.done >= 1 and (self.peers.world == 1 or self.progress.step % EVERY == 0)

    def _meet(self) -> None:
        if self.progress.step % EVERY == 0:
            self.progress.seconds = self.peers.average(self.parameters(), self.progress.seconds)

    def _step(self) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        loss, count, values = self.loss()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizer.step()
        self.progress.step += 1
        self.progress.samples += count * self.peers.world
        if self.progress.step % 4 == 0:
            self.average.follow(self.network, self.progress.step)
        return values

    def checkpoint(self, means: dict[str, float]) -> None:
        """Look for new data; the leading process saves, measures and reports. `EDTalkError(INTERNAL)` instead of saving
        numbers that are not finite."""
        rows = self.corpus.refresh()
        if not self.peers.leads:
            return
        state: dict[str, Any] = {
            "config": self.network.config.to_dict(),
            "progress": asdict(self.progress),
            "finished": self.done >= 1,
            "network": self.state_of(self.network),
            "average": self.state_of(self.average.network),
            "optimizer": self.optimizer.state_dict(),
        }
        path = self.paths.out / f"{self.name}.pt"
        if not all(bool(torch.isfinite(tensor).all()) for tensor in state["network"].values()):
            raise EDTalkError(
                ErrorCode.INTERNAL,
                f"{self.name} has numbers that are not finite at step {self.progress.step}; {path} was not touched.",
                "Start again with a lower rate; it goes on from that checkpoint.",
            )
        save(path, state)
        line = {
            "time": round(time.time()),
            **asdict(self.progress),
            "rows": rows,
            "train": means,
        }
        line["holdout"] = self.validate()
        with (self.paths.out / f"{self.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        log.info("%s %s", self.name, line)
        curves(self.paths.out / "tensorboard" / self.name, self.progress.step, line)

    def _begin_with(self, path: Path) -> None:
        earlier = _full(load_file(path)) if path.suffix == ".safetensors" else load(path)["average"]
        for network in (self.network, self.average.network):
            own = network.state_dict()
            fitting = {k: v for k, v in earlier.items() if k in own and own[k].shape == v.shape}
            network.load_state_dict(fitting, strict=False)

    def _resume(self) -> None:
        path = self.paths.out / f"{self.name}.pt"
        if not path.is_file():
            return
        state = load(path)
        self.network.load_state_dict(state["network"], strict=False)
        self.average.network.load_state_dict(state["average"], strict=False)
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        else:  # a packed state: the optimizer starts anew, so the rate rises anew
            self.began_at = Progress(**state["progress"]).step
        self.progress = Progress(**state["progress"])
