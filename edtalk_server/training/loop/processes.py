"""Several processes that train one network, started by `launch` or by torchrun.

Two ways to work together: with gradients averaged at every step (`ProcessGroup.share_gradients`), or each with steps of
its own and parameters averaged now and then (`ProcessGroup.average`). On a CPU the second is faster: nobody waits but
for a moment, and each process keeps to one thread; optimizer states stay local.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from shared_protocol.errors import EDTalkError, ErrorCode

_TIMEOUT = timedelta(minutes=10)
_PATIENCE = 60.0
"""Seconds that a process which was asked to end gets to do so."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process's place among `world`, and its device."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this is the process that saves and reports."""
        return self.rank == 0

    def share_gradients(self, module: nn.Module, unused: bool) -> nn.Module:
        """Return `module` so that its gradients are averaged over all processes; `unused` when a step may leave some
        parameters out."""
        if self.world == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=ids, find_unused_parameters=unused)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in some process. All of them must ask."""
        if self.world == 1:
            return flag
        shared = torch.tensor(int(flag), device=self.device)
        distributed.all_reduce(shared, distributed.ReduceOp.MAX)
        return bool(shared)

    @torch.no_grad()
    def average(self, parameters: Sequence[Tensor], seconds: float) -> float:
        """Replace `parameters` by their means over all processes; return the longest of everybody's `seconds`."""
        if self.world == 1:
            return seconds
        flat = torch.cat([p.reshape(-1) for p in parameters])
        distributed.all_reduce(flat)
        for p, mean in zip(
            parameters, (flat / self.world).split([p.numel() for p in parameters]), strict=True
        ):
            p.copy_(mean.view(p.shape))
        clock = torch.tensor([seconds], dtype=torch.float64)
        distributed.all_reduce(clock, distributed.ReduceOp.MAX)
        return float(clock)


def launch(world: int, work: Callable[[ProcessGroup], None], device: torch.device) -> None:
    """Run `work` (importable by name) in `world` processes; `RuntimeError` when one fails, after ending the others."""
    if world == 1:
        work(ProcessGroup(device=device))
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        init_file = str(Path(folder) / "init")
        members = [
            context.Process(target=_join, args=(work, ProcessGroup(rank, world, device), init_file))
            for rank in range(world)
        ]
        for member in members:
            member.start()
        try:
            while any(member.is_alive() for member in members):
                members[0].join(0.5)
                if any(member.exitcode not in (None, 0) for member in members):
                    raise RuntimeError("one of the training processes failed; see its message above")
        finally:
            _end(members)


def _end(members: Sequence[multiprocessing.process.BaseProcess]) -> None:
    for member in members:
        member.terminate()
    for member in members:
        member.join(_PATIENCE)
        if member.is_alive():  # it waits for one that has ended
            member.kill()
            member.join()


def _join(work: Callable[[ProcessGroup], None], group: ProcessGroup, init_file: str) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    method = f"file://{init_file}"
    distributed.init_process_group(
        "gloo", init_method=method, rank=group.rank, world_size=group.world, timeout=_TIMEOUT
    )
    work(group)


@contextmanager
def from_torchrun(device: str) -> Iterator[ProcessGroup]:
    """Join the group that torchrun's variables describe (gloo on CPUs, nccl on GPUs); without them, this process alone.

    `device` is cpu, cuda, cuda:N, mps or auto; `EDTalkError(BAD_MESSAGE)` for another one or one that is not there.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")) if world > 1 else 0)
    if world == 1:
        yield ProcessGroup(device=chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(rank, world, chosen)
    finally:
        distributed.destroy_process_group()


def pick_device(name: str = "auto", local_rank: int = 0) -> torch.device:
    """Return the device of that name, checked; `auto` is a graphics card where there is one.

    `EDTalkError(BAD_MESSAGE)` when it cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", local_rank)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, f"The device {name!r} cannot be used here: {error}.", "Give --device cpu."
        ) from error
    return device
