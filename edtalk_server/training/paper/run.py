"""The loop of a stage. It can be killed at any moment and started again with the same config: it goes on after its
last checkpoint, and ends with exactly the parameters of a run that was never interrupted.

That works because a step depends on the checkpoint and its own number alone: the batch of step n is drawn from a
generator seeded with n.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from edtalk_server.training.datasets.interface import ClipSet
from edtalk_server.training.loop.stage import learning_rate
from edtalk_server.training.paper import checkpoint
from edtalk_server.training.paper.config import StageConfig, StageName
from edtalk_server.training.paper.critic import MultiScaleCritic
from edtalk_server.training.paper.decoupling import MouthPoseStage
from edtalk_server.training.paper.expression import ExpressionStage
from edtalk_server.training.paper.feature_stage import FeatureStage
from edtalk_server.training.paper.group import Group
from edtalk_server.training.paper.journal import Journal
from edtalk_server.training.paper.reconstruction import ReconstructionStage
from edtalk_server.training.paper.stage import Batch, DrawingStage, Judges, Outcome, Stage, missing_stage
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

_ASK_EVERY = 10

_DRAWING: dict[StageName, type[DrawingStage]] = {
    StageName.RECONSTRUCTION: ReconstructionStage,
    StageName.MOUTH_POSE: MouthPoseStage,
    StageName.EXPRESSION: ExpressionStage,
}


class _Batches(Dataset[Batch]):
    """Batch number n, for every n."""

    def __init__(self, draw: Callable[[np.random.Generator], Batch], seed: int) -> None:
        self._draw = draw
        self._seed = seed

    def __getitem__(self, number: int) -> Batch:
        return self._draw(np.random.default_rng([self._seed, number]))


class Run:
    """One stage in one folder; continues what it finds there."""

    def __init__(self, name: StageName, config: StageConfig, data: ClipSet, out: Path, group: Group) -> None:
        self.config, self.group = _looking(config, out), group
        self.path = checkpoint.path_of(out, name)
        self.step = 0
        torch.manual_seed(config.seed)
        self.critic = MultiScaleCritic(config.critic).to(group.device)
        self.stage = self._make_stage(name).to(group.device)
        self._begin(out)
        self.average = AveragedModel(self.stage.model, multi_avg_fn=_follower(config.optimization.average))
        self._make_optimizers()
        self._resume()
        self._wrapped = group.wrap(self.stage, unused=True)
        self._wrapped_critic = group.wrap(self.critic, unused=False) if self._has_critic else self.critic
        self._batches = self._loader(data)
        self.journal = Journal(out, name, self.step, config.tensorboard) if group.leads else None

    # --- making ---

    def _make_stage(self, name: StageName) -> Stage:
        if name is StageName.FEATURES:
            return FeatureStage(self.config)
        return _DRAWING[name](self.config, Judges(self.config, self.critic, self.group.device))

    @property
    def _has_critic(self) -> bool:
        return isinstance(self.stage, DrawingStage) and self.config.weights.adversarial != 0

    def _make_optimizers(self) -> None:
        values = self.config.optimization
        self.learned = [p for p in self.stage.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(
            self.learned, values.generator_rate, betas=(0.0, values.generator_memory)
        )
        self.critic_optimizer = torch.optim.Adam(
            self.critic.parameters(), values.critic_rate, betas=(0.0, values.critic_memory)
        )

    def _loader(self, data: ClipSet) -> Iterator[Batch]:
        """This process's batches from the next step on: of all `world * accumulate` of a step, its own."""
        own, each = self.config.accumulate, self.group.world * self.config.accumulate
        numbers = [
            step * each + self.group.rank * own + index
            for step in range(self.step, self.config.steps)
            for index in range(own)
        ]
        batches = _Batches(partial(type(self.stage).batch, self.config, data), self.config.seed)
        return iter(DataLoader(batches, batch_size=None, sampler=numbers, num_workers=self.config.workers))

    # --- state ---

    def _begin(self, out: Path) -> None:
        """Take over where the stage before this one, or the config's `start`, ended."""
        path = self._earlier(out)
        if path is None or self.path.is_file():
            return
        state = checkpoint.load(path)
        checkpoint.check_agreement(path, state["config"], self.config)
        checkpoint.fill(self.stage, {**state["stage"], **_under("model.", state["average"])}, path)
        checkpoint.fill(self.critic, state["critic"], path)
        self.stage.begin_with(StageName(state["name"]))

    def _earlier(self, out: Path) -> Path | None:
        if self.config.start:
            return Path(self.config.start)
        if self.stage.before is None:
            return None
        path = checkpoint.path_of(out, self.stage.before)
        if not path.is_file() and self.stage.needs_before:
            raise missing_stage(self.stage.name, self.stage.before)
        return path if path.is_file() else None

    def _resume(self) -> None:
        if not self.path.is_file():
            return
        state = checkpoint.load(self.path)
        checkpoint.check_agreement(self.path, state["config"], self.config, continued=True)
        checkpoint.fill(self.stage, state["stage"], self.path)
        checkpoint.fill(self.average.module, state["average"], self.path)
        self.average.n_averaged.fill_(state["averaged"])
        checkpoint.fill(self.critic, state["critic"], self.path)
        self.optimizer.load_state_dict(state["optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.step = int(state["step"])

    def save(self) -> None:
        """Write the checkpoint; `EDTalkError(INTERNAL)` instead of one that training has blown up."""
        state = self.stage.state_dict()
        if not all(bool(torch.isfinite(t).all()) for t in state.values() if t.is_floating_point()):
            raise EDTalkError(
                ErrorCode.INTERNAL,
                f"{self.stage.name} has numbers that are not finite at step {self.step}; {self.path} was not touched.",
                "Lower the rates or set `clip` in `optimization`, then start again from that checkpoint.",
            )
        if not self.group.leads:
            return
        checkpoint.save(
            self.path,
            {
                "name": str(self.stage.name.value),
                "config": checkpoint.plain_config(self.config),
                "step": self.step,
                "finished": self.step >= self.config.steps,
                "stage": state,
                "average": self.average.module.state_dict(),
                "averaged": int(self.average.n_averaged),
                "critic": self.critic.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "critic_optimizer": self.critic_optimizer.state_dict(),
            },
        )

    # --- training ---

    def train(self, until: int | None = None) -> bool:
        """Go on to step `until` (or the last one); a checkpoint every `save_every` steps and at the end.

        An interrupt or a request to terminate ends it early, after a checkpoint. Returns whether the stage is done.
        """
        last = min(self.config.steps, until or self.config.steps)
        with _asked_to_stop() as stop:
            while self.step < last:
                outcome = self.advance()
                ended = self.step == last or self._must_stop(stop)
                if self.step % self.config.save_every == 0 or ended:
                    self.save()
                self._report(outcome, ended)
                if ended:
                    break
        return self.step >= self.config.steps

    def _report(self, outcome: Outcome, ended: bool) -> None:
        if self.journal is None:
            return
        if self.step % self.config.log_every == 0 or ended:
            self.journal.numbers(self.step, outcome)
        if self.step % self.config.save_every == 0 or ended:
            self.journal.pictures(self.step, outcome)

    def _must_stop(self, stop: list[int]) -> bool:
        """Several processes agree on that, but not at every step: asking makes them wait for each other."""
        asked = self.group.world == 1 or self.step % _ASK_EVERY == 0
        return asked and self.group.any(bool(stop))

    def advance(self) -> Outcome:
        """One step."""
        rates = self.config.optimization
        self._set_rate(self.optimizer, rates.generator_rate)
        self._set_rate(self.critic_optimizer, rates.critic_rate)
        adversarial = self._has_critic and self.step >= self.config.critic.first_step
        outcomes = self._learn(adversarial)
        if adversarial:
            self._teach_critic(outcomes)
        self.average.update_parameters(self.stage.model)
        self.step += 1
        return outcomes[-1]

    def _set_rate(self, optimizer: torch.optim.Optimizer, peak: float) -> None:
        values = self.config.optimization
        done = self.step / self.config.steps
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(peak, self.step, done, values.warm_up, values.final_rate)

    def _learn(self, adversarial: bool) -> list[Outcome]:
        outcomes = []
        self.optimizer.zero_grad(set_to_none=True)
        for last in self._parts():
            batch = next(self._batches).to(self.group.device)
            with nullcontext() if last else _unsynchronised(self._wrapped):
                outcome: Outcome = self._wrapped(batch, adversarial)
                (outcome.total / self.config.accumulate).backward()  # type: ignore[no-untyped-call]
            outcomes.append(_detached(outcome))
        if self.config.optimization.clip:
            nn.utils.clip_grad_norm_(self.learned, self.config.optimization.clip)
        self.optimizer.step()
        return outcomes

    def _teach_critic(self, outcomes: list[Outcome]) -> None:
        judges = cast(DrawingStage, self.stage).judges
        self.critic_optimizer.zero_grad(set_to_none=True)
        for outcome, last in zip(outcomes, self._parts(), strict=True):
            drawn, true = cast(Tensor, outcome.drawn), cast(Tensor, outcome.true)
            with nullcontext() if last else _unsynchronised(self._wrapped_critic):
                scores = self._wrapped_critic(torch.cat([drawn, true]))
                halves = [score.chunk(2) for score in scores]
                loss = judges.adversarial.critic([d for d, _ in halves], [t for _, t in halves])
                (loss / self.config.accumulate).backward()  # type: ignore[no-untyped-call]
            outcome.values["critic"] = loss.detach()
        self.critic_optimizer.step()

    def _parts(self) -> Iterator[bool]:
        """For each batch of a step, whether it is the last."""
        return (index == self.config.accumulate - 1 for index in range(self.config.accumulate))


def _looking(config: StageConfig, out: Path) -> StageConfig:
    """The config with the feature network of the same folder, where it names none."""
    trained = checkpoint.path_of(out, StageName.FEATURES)
    if config.judging.features or not trained.is_file():
        return config
    return replace(config, judging=replace(config.judging, features=str(trained)))


def _follower(keep: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """The exponential average, with larger steps at the start, so that it soon forgets the first parameters."""

    @torch.no_grad()
    def follow(average: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        seen = int(count)
        share = 1 - min(keep, (1 + seen) / (10 + seen))
        torch._foreach_lerp_(list(average), list(current), share)

    return follow


def _detached(outcome: Outcome) -> Outcome:
    drawn = None if outcome.drawn is None else outcome.drawn.detach()
    return outcome._replace(total=outcome.total.detach(), drawn=drawn)


def _unsynchronised(module: nn.Module) -> Any:
    """Gradients of this batch stay here; those of the step's last one are averaged over processes."""
    return module.no_sync() if hasattr(module, "no_sync") else nullcontext()  # type: ignore[operator]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that is no longer empty once the process was interrupted or asked to terminate."""
    seen: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
