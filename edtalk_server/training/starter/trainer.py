"""What the starter's stages share: the compact network, rendered shards, and beginning with earlier tensors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edtalk_server.networks.compact import CompactConfig, CompactNetwork
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.prefetcher import Prefetcher
from edtalk_server.training.loop.processes import ProcessGroup, pick_device
from edtalk_server.training.loop.trainer import Schedule, Trainer
from edtalk_server.training.starter.loader import Corpus

T = TypeVar("T")

STARTER = CompactConfig(reader="points", tone=True, refined=True)
"""The network that the starter bundle has."""
_HOLDOUT_ROWS = 1024
"""Rows of each hold-out shard that are measured on."""


@dataclass(frozen=True)
class Plan(Schedule):
    """What every stage's plan has. `start` is a checkpoint of an earlier run, or a bundle's `face.safetensors`: a new
    run begins with its tensors where names and shapes fit. `network` replaces fields of the starter's `CompactConfig`.
    `threads` make batches ahead (for a graphics card; on a CPU they would be in the way)."""

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


def signed(images: Tensor) -> Tensor:
    """Return [0, 1] as [-1, 1], laid out as CPU convolutions like it."""
    return (images * 2 - 1).contiguous(memory_format=torch.channels_last)


class CompactTrainer(Trainer):
    """Trains the submodules `parts` of the compact network, and keeps them in `<name>.pt`."""

    name: str
    network: CompactNetwork
    parts: tuple[str, ...]
    coarse = True
    """Whether it needs pairs of pictures, and thus the shards' maps at 64 pixels."""
    decay = 0.998
    average_every = 4
    local_steps = 40

    def __init__(self, paths: Paths, plan: Plan, group: ProcessGroup | None = None) -> None:
        group = group or ProcessGroup(device=pick_device())
        self.paths, self.plan, self.device = paths, plan, group.device
        torch.manual_seed(plan.seed)
        config = CompactConfig.from_dict({**STARTER.to_dict(), **plan.network})
        network = CompactNetwork(config).to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.train()
        super().__init__(paths.out / f"{self.name}.pt", plan, {"network": network}, network, group)
        if plan.start:
            self.take_over(Path(plan.start))
        self.corpus = Corpus(paths.data, coarse=self.coarse)
        self.holdout = (
            Corpus(paths.holdout, limit=_HOLDOUT_ROWS, coarse=self.coarse) if paths.holdout else None
        )
        self.resume()
        self.prefetcher: Prefetcher[Any] = Prefetcher(plan.threads, plan.seed, group.world)

    @property
    def average(self) -> CompactNetwork:
        return cast(CompactNetwork, super().average)

    def parameters(self) -> list[nn.Parameter]:
        return [p for name, p in self.network.named_parameters() if self._is_trained(name)]

    def tensors_of(self, module: nn.Module) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in module.state_dict().items() if self._is_trained(name)}

    def _is_trained(self, name: str) -> bool:
        return name.split(".")[0] in self.parts

    def config(self) -> dict[str, Any]:
        return self.network.config.to_dict()

    def refresh(self) -> None:
        self.corpus.refresh()

    def take_over(self, path: Path) -> None:
        """Begin with the tensors of a face network or of a checkpoint's average, where names and shapes fit."""
        earlier = (
            _full(load_file(path)) if path.suffix == ".safetensors" else checkpoint.load(path)["average"]
        )
        for network in (self.network, self.average):
            own = network.state_dict()
            fitting = {k: v for k, v in earlier.items() if k in own and own[k].shape == v.shape}
            network.load_state_dict(fitting, strict=False)

    def take(self, kind: Hashable, make: Callable[[np.random.Generator], T]) -> T:
        """Return this step's batch, as `make` makes it from random numbers; `kind` tells apart what it makes."""
        batch: T = self.prefetcher.take(self.batch_number, kind, make)
        return batch


def _full(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
