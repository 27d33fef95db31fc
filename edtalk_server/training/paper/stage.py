"""What the paper's stages share: the critics of their pictures, the sum of losses, and what is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from edtalk_server.training.datasets.interface import (
    ClipBatch,
    ClipSet,
    Motion,
    Random,
    SpokenBatch,
    SwapBatch,
    swap_sets,
)
from edtalk_server.training.loop.trainer import Outcome
from edtalk_server.training.paper.config import LossWeights, StageConfig, StageName
from edtalk_server.training.paper.losses import Adversarial, MultiScaleCritic, Reconstruction
from edtalk_server.training.paper.model import Drawing, MotionLatents, PaperModel
from edtalk_server.training.paper.perceptual import Perceptual, open_perceptual_network
from edtalk_server.training.paper.supervision import FlowLoss, LinearProbes, MaskLoss
from shared_protocol.errors import EDTalkError, ErrorCode

Batch = ClipBatch | SwapBatch
TRUE_WEIGHTS = (20, 6, 10)
"""Numbers of true weights of mouth, pose and expression in rendered data (`synthetic.controls`)."""
MOUTH, POSE, EXPRESSION = 0, 1, 2


class LossSum:
    """Adds up losses by the config's factors; one whose factor is 0 is not even computed."""

    def __init__(self, weights: LossWeights, device: torch.device) -> None:
        self._weights = weights
        self.total = torch.zeros((), device=device)
        self.values: dict[str, Tensor] = {}

    def add(self, name: str, compute: Callable[[], Tensor]) -> None:
        """Add a loss, computed by `compute`. Several losses of one name add up."""
        factor = getattr(self._weights, name)
        if factor == 0:
            return
        value = compute()
        self.total = self.total + factor * value
        self.values[name] = self.values.get(name, torch.zeros((), device=value.device)) + value.detach()


class Critics:
    """What looks at pictures and is not trained by the stage's own loss: the perceptual network, the adversarial
    critic."""

    def __init__(self, config: StageConfig, critic: MultiScaleCritic, device: torch.device) -> None:
        self.critic = critic
        self.adversarial = Adversarial(config.critic.kind)
        self._reconstruction = Reconstruction()
        self._perceptual = (
            Perceptual(open_perceptual_network(config.judging), config.judging.scales).to(device)
            if config.weights.perceptual
            else None
        )

    def add_picture_losses(self, losses: LossSum, drawn: Tensor, true: Tensor) -> None:
        """Add L_rec and L_per."""
        losses.add("reconstruction", lambda: self._reconstruction(drawn, true))
        losses.add("perceptual", lambda: self.perceptual(drawn, true))

    def perceptual(self, drawn: Tensor, true: Tensor) -> Tensor:
        """Return L_per alone; `ValueError` where the config has none."""
        if self._perceptual is None:
            raise ValueError("the config has no perceptual loss")
        return self._perceptual(drawn, true)  # type: ignore[no-any-return]

    def add_adversarial(self, losses: LossSum, drawn: Tensor) -> None:
        """Add the generator's L_adv; the critic learns nothing from it."""
        self.critic.requires_grad_(requires_grad=False)
        losses.add("adversarial", lambda: self.adversarial.generator(self.critic(drawn)))
        self.critic.requires_grad_(requires_grad=True)


B = TypeVar("B", bound=ClipBatch | SwapBatch | SpokenBatch)


class Stage(nn.Module, ABC, Generic[B]):
    """One stage: chooses batches and computes their losses. `model` is what it trains, or part of it."""

    name: StageName
    before: StageName | None = None
    """The stage whose result this one starts from, where there is one."""
    needs_before = False
    """Whether it cannot start without that result."""
    model: nn.Module

    def __init__(self, config: StageConfig) -> None:
        super().__init__()
        self.config = config

    @staticmethod
    @abstractmethod
    def batch(config: StageConfig, data: ClipSet, rng: Random) -> B:
        """Draw a batch of `config.batch`; the same state of `rng` gives the same batch."""

    @abstractmethod
    def forward(self, batch: B, adversarial: bool) -> Outcome:
        """Return the losses of a batch; with `adversarial`, L_adv is among them."""

    def begin_with(self, earlier: StageName) -> None:
        """Adapt what a checkpoint of `earlier` held; called once, before the first step."""


class DrawingStage(Stage[Batch]):
    """A stage that trains the paper's model."""

    model: PaperModel

    def __init__(self, config: StageConfig, critics: Critics) -> None:
        super().__init__(config)
        self.model = PaperModel(config.network, config.ablation, config.bf16)
        self.probes = LinearProbes(config.network.style_dim, TRUE_WEIGHTS)
        self._critics = [critics]  # in a list, so that it is not a submodule
        self._flow, self._mask = FlowLoss(), MaskLoss()

    @property
    def critics(self) -> Critics:
        return self._critics[0]

    def train_only(self, modules: Iterable[nn.Module], columns: slice) -> None:
        """Freeze all but the parameters of `modules` and these columns of the directions."""
        self.requires_grad_(requires_grad=False)
        for module in modules:
            module.requires_grad_(requires_grad=True)
        if self.model.ablation.bank:
            directions = self.model.network.banks.directions
            mask = torch.zeros(directions.shape[1])
            mask[columns] = 1.0
            directions.requires_grad_(True)
            directions.register_hook(lambda gradient: gradient * mask.to(gradient.device))

    def add_motion_losses(self, losses: LossSum, drawing: Drawing, motion: Motion) -> None:
        """Add the losses of warps and masks against rendered truth."""
        losses.add("flow", lambda: self._flow(drawing.levels, motion))
        losses.add("mask", lambda: self._mask(drawing.levels, motion))

    def add_probe_loss(
        self, losses: LossSum, latents: MotionLatents, weights: Tensor, banks: tuple[int, ...]
    ) -> None:
        """Add the loss of the linear probes of these banks."""
        losses.add("probe", lambda: self.probes.loss(latents, weights, banks))


def choose_swaps(config: StageConfig, data: ClipSet, rng: Random, keep_expression: bool) -> SwapBatch | None:
    """Draw a batch of exact swaps in `config.swap_share` of the calls, where the data can; None otherwise."""
    able = swap_sets(data)
    if not able or rng.random() >= config.swap_share:
        return None
    chosen = able[int(rng.integers(len(able)))]
    return chosen.factor_swaps(rng, config.batch, config.cross_share, keep_expression)


def missing_stage(name: StageName, needed: StageName) -> EDTalkError:
    """Return the error of a stage that cannot start without the one before it."""
    return EDTalkError(
        ErrorCode.NOT_READY,
        f"The stage {name} starts from a trained {needed}, and there is none.",
        f"Train it into the same folder first (`edtalk train stage {needed}`), or name a checkpoint in `start`.",
    )
