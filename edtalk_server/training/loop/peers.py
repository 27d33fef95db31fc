"""Several processes training one network: each takes its own steps, and every so often all take the average.

On a CPU this beats sharing each step: nobody waits but for a moment every `EVERY` steps, and each process keeps to one
thread. Optimizer states stay local.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

EVERY = 40
_TIMEOUT = timedelta(minutes=10)


class Peers:
    """This process's place among `world` processes; alone, it does nothing."""

    def __init__(self, rank: int = 0, world: int = 1, meeting: str = "") -> None:
        self.rank, self.world = rank, world
        if world > 1:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            distributed.init_process_group(
                "gloo", init_method=f"file://{meeting}", rank=rank, world_size=world, timeout=_TIMEOUT
            )

    @property
    def leads(self) -> bool:
        """Whether this is the process that saves and reports."""
        return self.rank == 0

    @torch.no_grad()
    def average(self, parameters: Sequence[Tensor], seconds: float) -> float:
        """Replace `parameters` by their mean over all processes; the longest of everybody's `seconds`."""
        if self.world == 1:
            return seconds
        flat = torch.cat([p.reshape(-1) for p in parameters])
        distributed.all_reduce(flat)
        first = 0
        for p in parameters:
            p.copy_((flat[first : first + p.numel()] / self.world).view(p.shape))
            first += p.numel()
        clock = torch.tensor([seconds], dtype=torch.float64)
        distributed.all_reduce(clock, distributed.ReduceOp.MAX)
        return float(clock)


def together(world: int, work: Callable[[Peers], None]) -> None:
    """Run `work` (importable by name) in `world` processes; `RuntimeError` when one fails, after ending the others."""
    if world == 1:
        work(Peers())
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "peers")
        crew = [context.Process(target=_member, args=(work, rank, world, meeting)) for rank in range(world)]
        for member in crew:
            member.start()
        try:
            while any(member.is_alive() for member in crew):
                crew[0].join(0.5)
                if any(member.exitcode not in (None, 0) for member in crew):
                    raise RuntimeError("one of the training processes failed; see its message above")
        finally:
            for member in crew:
                member.terminate()
                member.join()


def _member(work: Callable[[Peers], None], rank: int, world: int, meeting: str) -> None:
    work(Peers(rank, world, meeting))
