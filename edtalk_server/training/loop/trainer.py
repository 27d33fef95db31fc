"""The training loop. It can be killed at any moment and started again: it continues after its last checkpoint.

A step depends on the checkpoint, the run's seed and its own number alone. Where the learning rate follows steps rather
than time, a run that was interrupted therefore ends with exactly the parameters of one that was not.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.ema import EMA
from edtalk_server.training.loop.metrics import Means, MetricLogger
from edtalk_server.training.loop.processes import ProcessGroup
from shared_protocol.errors import EDTalkError, ErrorCode

_AGREE_EVERY = 10
"""Steps between two agreements of several processes on whether to end: asking makes them wait for each other."""


@dataclass
class TrainerState:
    """How far a run is; saved with each checkpoint. `seconds` counts time in steps only, over all sittings."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """How long a run is, from which seed, and how often it saves and logs.

    `steps`, where given, replace `minutes`. Checkpoints come every `every_seconds` and every `every_steps` (0: never by
    that measure), curves every `log_steps` and with each checkpoint.
    """

    minutes: float = 0.0
    steps: int = 0
    seed: int = 0
    every_seconds: float = 0.0
    every_steps: int = 0
    log_steps: int = 0

    def done(self, state: TrainerState) -> float:
        """Return the part of the run that is behind us, 0..1."""
        if self.steps:
            return min(1.0, state.step / self.steps)
        return min(1.0, state.seconds / (60 * self.minutes))


class Outcome(NamedTuple):
    """The result of one step or batch: the loss to descend, its parts for the log, and what to show of it: pictures
    [N, 3, S, S] in [-1, 1], where it draws any."""

    total: Tensor
    values: dict[str, Tensor]
    source: Tensor | None = None
    drawn: Tensor | None = None
    true: Tensor | None = None
    samples: int = 0

    def pictures(self) -> list[Tensor]:
        """Return the columns source, drawn, true; empty when one is missing."""
        columns = [picture for picture in (self.source, self.drawn, self.true) if picture is not None]
        return columns if len(columns) == 3 else []


def learning_rate(peak: float, step: int, done: float, warm_up: int = 200, floor: float = 0.03) -> float:
    """Return the rate of `step`: a linear rise over `warm_up` steps, times half a cosine over `done` 0..1 that falls to
    `floor` of the peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done))))
    return peak * min(1.0, (step + 1) / warm_up) * max(floor, cosine)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all of an optimizer's parameters this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class Trainer(ABC):
    """A run in a file `<name>.pt`: `train()` works until the schedule is done, and continues what the file holds.

    `modules` and `optimizers` are saved under their names; there is a module "network". `averaged` is the part of it
    that the EMA follows. A subclass calls `resume()` at the end of its `__init__`.
    """

    decay = 0.999
    """Of the EMA; 0: there is none."""
    average_every = 1
    """Steps between two updates of the EMA."""
    clip = 1.0
    """Largest norm of the gradients; 0: any."""
    local_steps = 0
    """Steps between two averages of several processes' parameters; 0: they share gradients at every step."""

    def __init__(
        self,
        path: Path,
        schedule: Schedule,
        modules: Mapping[str, nn.Module],
        averaged: nn.Module,
        group: ProcessGroup | None = None,
        tensorboard: bool | None = None,
    ) -> None:
        self.path, self.schedule = path, schedule
        self.group = group or ProcessGroup()
        self.modules, self.averaged = modules, averaged
        self.network = modules["network"]
        self.state = TrainerState()
        self.optimizers: dict[str, torch.optim.Optimizer] = self.make_optimizers()
        self.optimizer_began = 0
        """The step at which the optimizer started without a past."""
        self.ema = EMA(averaged, self.decay) if self.decay else None
        self._means = Means()
        self._tensorboard = tensorboard
        self._logger: MetricLogger | None = None

    # --- what a subclass says ---

    @abstractmethod
    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimizers by the name that they have in checkpoints; "optimizer" is the one of `update`."""

    @abstractmethod
    def rate(self) -> float:
        """Return the learning rate of the next step."""

    @abstractmethod
    def loss(self) -> Outcome:
        """Draw the next batch (number `batch_number`) and return its loss."""

    def parameters(self) -> list[nn.Parameter]:
        """Return what is trained."""
        return [p for p in self.network.parameters() if p.requires_grad]

    def tensors_of(self, module: nn.Module) -> dict[str, Tensor]:
        """Return the tensors of a module that belong into a checkpoint."""
        return module.state_dict()

    def config(self) -> dict[str, Any]:
        """Return what must be known to use the checkpoint, as plain values."""
        return {}

    def check(self, state: Mapping[str, Any]) -> None:  # noqa: B027 (most runs have nothing to check)
        """Raise `EDTalkError` when a checkpoint belongs to another run than this one."""

    def refresh(self) -> None:  # noqa: B027 (most data does not grow)
        """Look for new data: called before the first step and after each checkpoint, in every process."""

    def validate(self) -> dict[str, float]:
        """Return metrics of data that is never trained on; called with each checkpoint."""
        return {}

    @property
    def average(self) -> nn.Module:
        """The averaged network; the trained one where there is no EMA."""
        return self.ema.network if self.ema else self.averaged

    # --- how far it is ---

    @property
    def done(self) -> float:
        """The part of the schedule that is behind us, 0..1."""
        return self.schedule.done(self.state)

    @property
    def batch_number(self) -> int:
        """The number of the next step's batch, different in each process."""
        return self.state.step * self.group.world + self.group.rank

    @property
    def optimizer_step(self) -> int:
        """Steps since the optimizer started without a past."""
        return self.state.step - self.optimizer_began

    # --- the loop ---

    def train(
        self,
        until: float = math.inf,
        until_step: int | None = None,
        on_progress: Callable[[float], None] = lambda _done: None,
    ) -> bool:
        """Run to the schedule's end, this moment of `time.monotonic`, or that step; return whether the schedule is
        done.

        An interrupt or a request to terminate ends the loop after the current step. The end always saves.
        """
        last = math.inf if until_step is None else until_step
        if self.schedule.steps:
            last = min(last, self.schedule.steps)
        self.refresh()
        with _stop_requests() as requests:
            saved = self.state.seconds
            ended = self._must_end(until, last, requests)
            while not ended:
                outcome = self._timed_step()
                ended = self._must_end(until, last, requests)
                if self._record(outcome, saved, ended):
                    saved = self.state.seconds
                on_progress(self.done)
        if self._logger is not None:
            self._logger.close()
        return self.done >= 1

    def advance(self) -> Outcome:
        """Take one step."""
        torch.manual_seed(self.schedule.seed + self.batch_number)
        outcome = self.update()
        self.state.step += 1
        self.state.samples += outcome.samples * self.group.world
        if self.ema is not None and self.state.step % self.average_every == 0:
            self.ema.update(self.averaged, self.state.step // self.average_every)
        return outcome

    def update(self) -> Outcome:
        """Descend the next batch's loss by one step of the optimizer."""
        optimizer = self.optimizers["optimizer"]
        set_rate(optimizer, self.rate())
        outcome = self.loss()
        optimizer.zero_grad(set_to_none=True)
        outcome.total.backward()  # type: ignore[no-untyped-call]
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters(), self.clip)
        optimizer.step()
        return outcome

    def _timed_step(self) -> Outcome:
        began = time.monotonic()
        outcome = self.advance()
        self.state.seconds += time.monotonic() - began
        if self.local_steps and self.state.step % self.local_steps == 0:
            self.state.seconds = self.group.average(self.parameters(), self.state.seconds)
        return outcome

    def _must_end(self, until: float, last: float, requests: list[int]) -> bool:
        if self.state.step >= last:
            return True
        wish = bool(requests) or self.done >= 1 or time.monotonic() >= until
        if self.group.world == 1:
            return wish
        return self.state.step % (self.local_steps or _AGREE_EVERY) == 0 and self.group.any(wish)

    def _record(self, outcome: Outcome, saved: float, ended: bool) -> bool:
        """Log and save where that is due; return whether a checkpoint was written."""
        self._means.add({"total": outcome.total, **outcome.values})
        schedule, step = self.schedule, self.state.step
        timed = bool(schedule.every_seconds) and self.state.seconds - saved >= schedule.every_seconds
        due = ended or timed or bool(schedule.every_steps and step % schedule.every_steps == 0)
        if due:
            self.save()
        if self.group.leads and (due or (schedule.log_steps and step % schedule.log_steps == 0)):
            self._report(outcome, due)
        if due:
            self.refresh()
        return due

    def _report(self, outcome: Outcome, saved: bool) -> None:
        logger = self._metric_logger()
        parts = {"train": self._means.take()}
        if saved:
            parts["holdout"] = self.validate()
            logger.line(asdict(self.state), parts)
        logger.curves(self.state.step, parts)
        if saved:
            logger.pictures(self.state.step, "source | drawn | true", outcome.pictures())

    def _metric_logger(self) -> MetricLogger:
        if self._logger is None:
            self._logger = MetricLogger(self.path.parent, self.path.stem, self.state.step, self._tensorboard)
        return self._logger

    # --- checkpoints ---

    def save(self) -> None:
        """Write the checkpoint, in the leading process; `EDTalkError(INTERNAL)` instead of one with numbers that are
        not finite."""
        tensors = {name: self.tensors_of(module) for name, module in self.modules.items()}
        if not all(checkpoint.is_finite(part) for part in tensors.values()):
            raise EDTalkError(
                ErrorCode.INTERNAL,
                f"{self.path.stem} has numbers that are not finite at step {self.state.step}; "
                f"{self.path} was not touched.",
                "Lower the learning rate, then start again: it continues from that checkpoint.",
            )
        if not self.group.leads:
            return
        average = {"average": self.tensors_of(self.average)} if self.ema else {}
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        about = {"config": self.config(), "progress": asdict(self.state), "finished": self.done >= 1}
        checkpoint.save(self.path, {**about, **tensors, **average, **optimizers})

    def resume(self) -> None:
        """Continue after the last checkpoint, where there is one. Optimizers that it lacks start without a past.

        `EDTalkError` when the file is damaged or belongs to another run.
        """
        if not self.path.is_file():
            return
        state = checkpoint.load(self.path)
        self.check(state)
        modules = {**self.modules, **({"average": self.average} if self.ema else {})}
        for name, module in modules.items():
            checkpoint.fill(module, {**module.state_dict(), **state[name]}, self.path)
        self.state = TrainerState(**state["progress"])
        for name, optimizer in self.optimizers.items():
            if name in state:
                optimizer.load_state_dict(state[name])
            else:
                self.optimizer_began = self.state.step


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Yield a list that is no longer empty once the process was interrupted or asked to terminate."""
    requests: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only that one may handle signals
        yield requests
        return

    def note(number: int, _frame: FrameType | None) -> None:
        requests.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
