"""Trains one of the paper's stages: generator and critic in turn, on one process or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from edtalk_server import bundles
from edtalk_server.networks.interface import FaceNetwork
from edtalk_server.networks.sync import SyncExpert
from edtalk_server.training.datasets.interface import ClipSet, SpokenBatch
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.prefetcher import draw_batches
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.loop.trainer import Outcome, Schedule, Trainer, learning_rate, set_rate
from edtalk_server.training.paper import config as configs
from edtalk_server.training.paper.config import StageConfig, StageName
from edtalk_server.training.paper.decoupling import MouthPoseStage
from edtalk_server.training.paper.expression import ExpressionStage
from edtalk_server.training.paper.feature_stage import FeatureStage
from edtalk_server.training.paper.lips.lips_stage import Frozen, LipStage, goes_on_from_a_bundle
from edtalk_server.training.paper.lips.sync_stage import SyncStage
from edtalk_server.training.paper.losses import MultiScaleCritic
from edtalk_server.training.paper.reconstruction import ReconstructionStage
from edtalk_server.training.paper.stage import Batch, Critics, DrawingStage, Stage, missing_stage
from edtalk_server.training.paper.trained import expert_of, face_of
from shared_protocol.errors import EDTalkError, ErrorCode

_DRAWING: dict[StageName, type[DrawingStage]] = {
    StageName.RECONSTRUCTION: ReconstructionStage,
    StageName.MOUTH_POSE: MouthPoseStage,
    StageName.EXPRESSION: ExpressionStage,
}


class PaperTrainer(Trainer):
    """One stage in one folder; continues what it finds there."""

    def __init__(
        self, name: StageName, config: StageConfig, data: ClipSet, out: Path, group: ProcessGroup
    ) -> None:
        self.settings = _with_features(config, out)
        self.decay, self.clip = config.optimization.average, config.optimization.clip
        torch.manual_seed(config.seed)
        self.critic = MultiScaleCritic(config.critic).to(group.device)
        self.stage = _make_stage(name, self.settings, self.critic, group.device, out).to(group.device)
        path = configs.path_of(out, name)
        if not path.is_file():
            self._begin(out)
        schedule = Schedule(
            steps=config.steps, seed=config.seed, every_steps=config.save_every, log_steps=config.log_every
        )
        modules = {"network": self.stage, "critic": self.critic}
        super().__init__(path, schedule, modules, self.stage.model, group, config.tensorboard)
        self.resume()
        self._wrapped = group.share_gradients(self.stage, unused=True)
        has_critic = self._has_critic
        self._wrapped_critic = group.share_gradients(self.critic, unused=False) if has_critic else self.critic
        self._batches = self._loader(data)

    @property
    def _has_critic(self) -> bool:
        return isinstance(self.stage, DrawingStage) and self.settings.weights.adversarial != 0

    def _loader(self, data: ClipSet) -> Iterator[Batch | SpokenBatch]:
        """Yield this process's batches from the next step on: of all `world * accumulate` of a step, its own."""
        config, group = self.settings, self.group
        own, each = config.accumulate, group.world * config.accumulate
        numbers = [
            step * each + group.rank * own + index
            for step in range(self.state.step, config.steps)
            for index in range(own)
        ]
        draw = partial(type(self.stage).batch, config, data)
        return draw_batches(draw, config.seed, numbers, config.workers)

    # --- how it begins ---

    def _begin(self, out: Path) -> None:
        """Take over where the stage before this one, or the config's `start`, ended."""
        if isinstance(self.stage, LipStage) and goes_on_from_a_bundle(self.settings):
            self.stage.speak_like(bundles.load(self.settings.start))
            return
        path = self._earlier(out)
        if path is None:
            return
        state = checkpoint.load(path)
        configs.check_agreement(path, state["config"], self.settings)
        average = {f"model.{name}": tensor for name, tensor in state["average"].items()}
        checkpoint.fill(self.stage, {**state["network"], **average}, path)
        checkpoint.fill(self.critic, state["critic"], path)
        self.stage.begin_with(StageName(state["config"]["stage"]))

    def _earlier(self, out: Path) -> Path | None:
        if self.settings.start:
            return Path(self.settings.start)
        if self.stage.before is None:
            return None
        path = configs.path_of(out, self.stage.before)
        if not path.is_file() and self.stage.needs_before:
            raise missing_stage(self.stage.name, self.stage.before)
        return path if path.is_file() else None

    def config(self) -> dict[str, Any]:
        return {**configs.plain(self.settings), "stage": self.stage.name.value}

    def check(self, state: Mapping[str, Any]) -> None:
        configs.check_agreement(self.path, state["config"], self.settings, continued=True)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        values = self.settings.optimization
        return {
            "optimizer": torch.optim.Adam(
                self.parameters(), values.generator_rate, betas=(0.0, values.generator_memory)
            ),
            "critic_optimizer": torch.optim.Adam(
                self.critic.parameters(), values.critic_rate, betas=(0.0, values.critic_memory)
            ),
        }

    # --- a step ---

    def rate(self) -> float:
        return self._rate(self.settings.optimization.generator_rate)

    def _rate(self, peak: float) -> float:
        values = self.settings.optimization
        return learning_rate(peak, self.state.step, self.done, values.warm_up, values.final_rate)

    def loss(self) -> Outcome:
        adversarial = self._has_critic and self.state.step >= self.settings.critic.first_step
        return cast(Outcome, self._wrapped(next(self._batches).to(self.group.device), adversarial))

    def update(self) -> Outcome:
        outcomes = self._update_generator()
        if self._has_critic and self.state.step >= self.settings.critic.first_step:
            self._update_critic(outcomes)
        return outcomes[-1]

    def _update_generator(self) -> list[Outcome]:
        optimizer, outcomes = self.optimizers["optimizer"], []
        set_rate(optimizer, self.rate())
        optimizer.zero_grad(set_to_none=True)
        for last in self._parts():
            with nullcontext() if last else _unsynchronised(self._wrapped):
                outcome = self.loss()
                (outcome.total / self.settings.accumulate).backward()  # type: ignore[no-untyped-call]
            outcomes.append(_detached(outcome))
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters(), self.clip)
        optimizer.step()
        return outcomes

    def _update_critic(self, outcomes: list[Outcome]) -> None:
        adversarial, optimizer = (
            cast(DrawingStage, self.stage).critics.adversarial,
            self.optimizers["critic_optimizer"],
        )
        set_rate(optimizer, self._rate(self.settings.optimization.critic_rate))
        optimizer.zero_grad(set_to_none=True)
        for outcome, last in zip(outcomes, self._parts(), strict=True):
            drawn, true = cast(Tensor, outcome.drawn), cast(Tensor, outcome.true)
            with nullcontext() if last else _unsynchronised(self._wrapped_critic):
                scores = self._wrapped_critic(torch.cat([drawn, true]))
                halves = [score.chunk(2) for score in scores]
                loss = adversarial.critic([d for d, _ in halves], [t for _, t in halves])
                (loss / self.settings.accumulate).backward()  # type: ignore[no-untyped-call]
            outcome.values["critic"] = loss.detach()
        optimizer.step()

    def _parts(self) -> Iterator[bool]:
        """Yield, for each batch of a step, whether it is the last."""
        count = self.settings.accumulate
        return (index == count - 1 for index in range(count))


def _make_stage(
    name: StageName, config: StageConfig, critic: MultiScaleCritic, device: torch.device, out: Path
) -> Stage[Any]:
    match name:
        case StageName.FEATURES:
            return FeatureStage(config)
        case StageName.SYNC:
            return SyncStage(config)
        case StageName.LIPS:
            return LipStage(config, _frozen(config, out))
        case _:
            return _DRAWING[name](config, Critics(config, critic, device))


def _frozen(config: StageConfig, out: Path) -> Frozen:
    """Return the face and the expert that the stage `lips` learns from: those of the config, or of the same folder."""
    face: FaceNetwork = bundles.load(config.face).face if config.face else face_of(out)[0]
    if face.bank_sizes[0] != config.audio.outputs or face.size != config.network.size:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            f"The face has {face.bank_sizes[0]} mouth weights and pictures of {face.size} pixels, the config "
            f"{config.audio.outputs} and {config.network.size}.",
            "Set `outputs` of `audio` and `size` of `network` to the face's.",
        )
    if not config.weights.sync:
        return Frozen(face, None)
    return Frozen(face, _expert(config, out))


def _expert(config: StageConfig, out: Path) -> SyncExpert:
    """Return the expert of a checkpoint of the stage `sync`, or of the bundle that the config names."""
    path = Path(config.expert) if config.expert else configs.path_of(out, StageName.SYNC)
    if path.is_file():
        return expert_of(path)
    if not config.expert:
        raise missing_stage(StageName.LIPS, StageName.SYNC)
    expert = bundles.load(config.expert).sync
    if not isinstance(expert, SyncExpert):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The bundle {config.expert} has no sync expert.",
            "Name the starter, or train one: `edtalk train stage sync`.",
        )
    return expert


def _with_features(config: StageConfig, out: Path) -> StageConfig:
    """Return the config with the feature network of the same folder, where it names none."""
    trained = configs.path_of(out, StageName.FEATURES)
    if config.judging.features or not trained.is_file():
        return config
    return replace(config, judging=replace(config.judging, features=str(trained)))


def _detached(outcome: Outcome) -> Outcome:
    drawn = None if outcome.drawn is None else outcome.drawn.detach()
    return outcome._replace(total=outcome.total.detach(), drawn=drawn)


def _unsynchronised(module: nn.Module) -> Any:
    """Keep this batch's gradients in this process; those of the step's last batch are averaged over processes."""
    return module.no_sync() if hasattr(module, "no_sync") else nullcontext()  # type: ignore[operator]
