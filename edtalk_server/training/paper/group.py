"""One process, or several started by torchrun, each with its device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed
from torch.nn import Module
from torch.nn.parallel import DistributedDataParallel

from shared_protocol.errors import EDTalkError, ErrorCode


@dataclass(frozen=True)
class Group:
    """This process's place among `world`."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that saves and logs."""
        return self.rank == 0

    def wrap(self, module: Module, unused: bool) -> Module:
        """`module` with gradients averaged over all processes; itself where there is only one. With `unused` some
        parameters may be left out by some batches."""
        if self.world == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=ids, find_unused_parameters=unused)

    def any(self, value: bool) -> bool:
        """Whether it is true in any process; all must ask."""
        if self.world == 1:
            return value
        flag = torch.tensor(int(value), device=self.device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag)


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """The group that torchrun's variables describe (gloo on CPUs, nccl on GPUs); without them this process alone.

    `device` is cpu, cuda, cuda:N, mps or auto; `EDTalkError(BAD_MESSAGE)` for another one or one that is not there.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")) if world > 1 else None)
    if world == 1:
        yield Group(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Group(rank, world, chosen)
    finally:
        distributed.destroy_process_group()


def _device(name: str, local_rank: int | None) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", local_rank or 0)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, f"The device {name!r} cannot be used here: {error}.", "Give --device cpu."
        ) from error
    return device
