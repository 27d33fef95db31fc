"""Train the pose flow (paper section 3.3, Eq. 5): `edtalk train stage pose`.

Loss: the negative log-likelihood a dimension, plus L_rec and L_tem. The paper takes these two on the flow's own noise,
where they are 0 whatever the flow does, because a flow is a bijection. We take them where the noise is perturbed,
sqrt(1 - tau²) z + tau eps, so that noise nearby gives movements nearby. Before that, the
response, which says what the voice makes a head do on average, learns by least squares, each frequency against its own
deviation, and stays so. One CPU core is enough.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor

from edtalk_server import bundles
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND
from edtalk_server.networks.voice.pose_flow import (
    POSE,
    PoseFlow,
    PoseFlowConfig,
    negative_log_likelihood,
)
from edtalk_server.training.head.corpus import Take
from edtalk_server.training.head.movement import PITCH
from edtalk_server.training.loop.parts import write_part
from edtalk_server.training.loop.prefetcher import generator_of
from edtalk_server.training.loop.trainer import Outcome, Schedule, Trainer, learning_rate, set_rate
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

ROLE = "audio_to_pose"
_HELD_OUT_BATCH = 24
_SMALLEST_DEVIATION = 1e-3
_RESPONSE_BATCH = 24
_RESPONSE_RATE = 3e-3
_CALIBRATION_BATCH = 96
_CALM = 0.9
"""Chance in all but pitch: samples that move as far as the data do move faster, because they rest less."""
_QUICK_CHANCE, _EMPHASIS = 0.09, 1.7
"""Chance and voice in quick nods, whose power stays about that of the data: measured on held-out takes."""
_GAINS = (0.5, 1.5)
"""Least and most correction of chance: what is further off was not learned."""


@dataclass(frozen=True)
class PosePlan(Schedule):
    """The schedule and the loss.

    A batch has `batch` stretches of `hops` hops; `perturbed` of them also teach L_rec and L_tem under noise of
    strength `tau`. `squeeze` "none" trains the paper's form, frame by frame; `response` is the width of the network
    of the expected movement (0: none), which learns for `response_steps` (0: stays as the start has it). `start` is
    a bundle whose flow the run starts from (empty: from nothing). The corpus has `takes` takes of a minute to train
    on and `held_out_takes` others. `film` is a cache of prepared clips instead of the corpus, read with the bundle
    `reader`.
    """

    minutes: float = 30.0
    batch: int = 12
    hops: int = 32
    perturbed: int = 3
    tau: float = 0.3
    reconstruction: float = 1.0
    temporal: float = 1.0
    learning_rate: float = 2e-3
    squeeze: str = "mdct"
    response: int = 64
    response_steps: int = 1200
    start: str = ""
    takes: int = 280
    held_out_takes: int = 24
    film: str = ""
    reader: str = bundles.STARTER
    seed: int = 5
    every_seconds: float = 120.0

    @property
    def seconds(self) -> float:
        """Length of a stretch."""
        frames = self.hops if self.squeeze == "none" else (self.hops + 1) * PoseFlowConfig().hop
        return frames / FRAMES_PER_SECOND

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a JSON object; `ValueError` names an unknown field."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}")
        return cls(**values)


@dataclass(frozen=True)
class Batch:
    """Stretches of takes: pose [B, T, 6], prosody [B, T, 8], emotions [B, T, 8], style [B, 8]."""

    pose: Tensor
    prosody: Tensor
    emotions: Tensor
    style: Tensor


class Stretches:
    """Draws stretches of equal length from takes; takes that are shorter are left out."""

    def __init__(self, takes: Sequence[Take], frames: int) -> None:
        self.takes = [take for take in takes if len(take.pose) >= frames]
        if not self.takes:
            raise ValueError(f"no take has {frames} frames")
        self.frames = frames
        lengths = np.array([len(take.pose) - frames + 1 for take in self.takes], np.float64)
        self._shares = lengths / lengths.sum()

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` stretches, any moment of all takes as likely as any other."""
        chosen = rng.choice(len(self.takes), count, p=self._shares)
        firsts = [int(rng.integers(len(self.takes[index].pose) - self.frames + 1)) for index in chosen]
        parts = [
            (self.takes[index], slice(first, first + self.frames))
            for index, first in zip(chosen, firsts, strict=True)
        ]
        columns = (
            [getattr(take, name)[part] for take, part in parts] for name in ("pose", "prosody", "emotions")
        )
        pose, prosody, emotions = (torch.from_numpy(np.stack(column)) for column in columns)
        return Batch(pose, prosody, emotions, torch.from_numpy(np.stack([take.style for take, _ in parts])))


def standardize(flow: PoseFlow, takes: Sequence[Take]) -> None:
    """Store means, deviations and limits of the training data in the flow."""
    for name in ("pose", "prosody"):
        rows = np.concatenate([getattr(take, name) for take in takes])
        getattr(flow, f"{name}_mean").copy_(torch.from_numpy(rows.mean(0)))
        deviation = np.maximum(rows.std(0), _SMALLEST_DEVIATION)
        getattr(flow, f"{name}_deviation").copy_(torch.from_numpy(deviation))
    flow.limit.copy_(torch.from_numpy(np.abs(np.concatenate([take.pose for take in takes])).max(0)))


class PoseTrainer(Trainer):
    """A run in a folder: `audio_to_pose.pt`, its metrics, and the result."""

    network: PoseFlow
    clip = 1.0

    def __init__(self, folder: Path, plan: PosePlan, takes: Sequence[Take], held_out: Sequence[Take]) -> None:
        self.folder, self.plan = folder, plan
        torch.manual_seed(plan.seed)
        hop = 1 if plan.squeeze == "none" else PoseFlowConfig().hop
        network = PoseFlow(PoseFlowConfig(plan.squeeze, hop, response=plan.response))
        frames = (plan.hops + 1) * hop if hop > 1 else plan.hops
        self.stretches, self.held_out = Stretches(takes, frames), Stretches(held_out, frames)
        standardize(network, takes)
        first = self.stretches.draw(np.random.default_rng(plan.seed), 4 * plan.batch)
        network.initialize(network.hops(first.pose), condition_of(network, first))
        if plan.start:
            start_from(network, plan.start)
        if network.response is not None:
            if not (folder / f"{ROLE}.pt").is_file():
                fit_response(network, Stretches(takes, frames), plan.response_steps, plan.seed)
            network.response.requires_grad_(requires_grad=False)
        super().__init__(folder / f"{ROLE}.pt", plan, {"network": network}, network)
        self.resume()

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimizer": torch.optim.Adam(self.parameters(), self.plan.learning_rate)}

    def rate(self) -> float:
        return learning_rate(self.plan.learning_rate, self.state.step, self.done, warm_up=50, floor=1e-2)

    def config(self) -> dict[str, Any]:
        return self.network.config.to_dict()

    def loss(self) -> Outcome:
        batch = self.stretches.draw(generator_of(self.plan.seed, self.batch_number), self.plan.batch)
        condition, hops = condition_of(self.network, batch), self.network.hops(batch.pose)
        noise, log_determinant = self.network(hops, condition)
        likelihood = negative_log_likelihood(noise, log_determinant)
        chosen = slice(0, self.plan.perturbed)
        rebuilt = self.network.inverse(perturb(noise[chosen], self.plan.tau), condition[chosen])
        reconstruction, temporal = perturbed_losses(self.network, rebuilt, hops[chosen])
        total = likelihood + self.plan.reconstruction * reconstruction + self.plan.temporal * temporal
        values = {"nll": likelihood, "reconstruction": reconstruction, "temporal": temporal}
        return Outcome(total, values, samples=self.plan.batch)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        return {"nll": held_out_likelihood(cast(PoseFlow, self.average), self.held_out)}

    def finish(self) -> None:
        """Write `audio_to_pose.safetensors` (float16) and `audio_to_pose.json` (the part for a bundle's manifest)."""
        flow = cast(PoseFlow, self.average)
        if flow.response is not None:
            calibrate(flow, self.stretches)
        write_part(self.folder, ROLE, "pose_flow", self.network.config.to_dict(), self.average)


def start_from(network: PoseFlow, bundle: str) -> None:
    """Take over what a bundle's flow has learned: its steps, not the figures of its data. What it lacks stays new."""
    own = network.state_dict()
    flow = bundles.load(bundle).audio_to_pose
    learned = {} if flow is None else _learned(flow)
    if not learned or any(name not in own or own[name].shape != one.shape for name, one in learned.items()):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The bundle {bundle} has no flow of the head's movements of the plan's sizes.",
            "Start from the starter, or from nothing.",
        )
    network.load_state_dict(own | learned)


def _learned(flow: PoseFlow) -> dict[str, Tensor]:
    """Return a flow's parameters and the permutations that they belong to."""
    fixed = {name: value for name, value in flow.named_buffers() if name.endswith((".order", ".sign"))}
    return dict(flow.named_parameters()) | fixed


def fit_response(flow: PoseFlow, stretches: Stretches, steps: int, seed: int) -> None:
    """Let the response learn what movements to expect."""
    if flow.response is None:
        return
    first = flow.hops(stretches.draw(np.random.default_rng(seed), _RESPONSE_BATCH).pose)
    deviation = first.flatten(0, 1).std(0).clamp_min(_SMALLEST_DEVIATION)
    optimizer = torch.optim.Adam(flow.response.parameters(), _RESPONSE_RATE)
    for step in range(steps):
        set_rate(optimizer, learning_rate(_RESPONSE_RATE, step, step / steps, warm_up=50, floor=0.0))
        batch = stretches.draw(generator_of(seed, step), _RESPONSE_BATCH)
        loss = expected_loss(flow, condition_of(flow, batch), flow.hops(batch.pose), deviation)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(flow.response.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            log.info("response, step %d: %.3f of the variance left", step + 1, float(loss.detach()))


def expected_loss(flow: PoseFlow, condition: Tensor, hops: Tensor, deviation: Tensor) -> Tensor:
    """Return the mean square of what the response leaves of hops [B, H, C], in their deviations [C]; 0 without one."""
    if flow.response is None:
        return hops.new_zeros(())
    expected = condition[..., flow.config.condition :]
    return ((hops - expected) / deviation).square().mean()


@torch.no_grad()
def calibrate(flow: PoseFlow, stretches: Stretches) -> None:
    """Store how samples are mixed of chance and voice: as strong at each frequency as the data that the flow learned
    from, because a flow that has not learned all falls short at some and trembles at others.

    Quick pitch gets less chance, and more voice in its place (`PoseFlow`).
    """
    batch = stretches.draw(np.random.default_rng(0), _CALIBRATION_BATCH)
    hops, condition = flow.hops(batch.pose), condition_of(flow, batch)
    expected = condition[..., flow.config.condition :]
    noise = torch.randn(hops.shape, generator=torch.Generator().manual_seed(0))
    drawn = flow.left_to_chance(noise, condition)
    flow.chance.copy_(_CALM * (strength(hops - expected) / strength(drawn)).clamp(*_GAINS))
    flow.chance[PITCH::POSE] /= _CALM
    flow.emphasis.fill_(1.0)
    quick = slice(POSE + PITCH, None, POSE)  # all but the slowest frequency
    if strength(expected)[quick].sum() > 0:
        flow.chance[quick] *= _QUICK_CHANCE
        flow.emphasis[quick] = _EMPHASIS


def strength(hops: Tensor) -> Tensor:
    """Return the mean size [C] of hops [B, H, C]: heads move and rest; a mean square counts the moves alone."""
    return hops.abs().mean(dim=(0, 1))


def condition_of(flow: PoseFlow, batch: Batch) -> Tensor:
    """Return the condition [B, H, ·] of a batch."""
    return flow.condition(batch.prosody, batch.emotions, batch.style)


def perturb(noise: Tensor, tau: float) -> Tensor:
    """Return noise nearby that is as normal: sqrt(1 - tau²) z + tau eps. The flow's own noise gets no gradient."""
    return math.sqrt(1 - tau**2) * noise.detach() + tau * torch.randn_like(noise)


def perturbed_losses(flow: PoseFlow, rebuilt: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Return L_rec and L_tem of hops [B, H, C]: mean distance of standardised frames, and of their changes."""
    error = (flow.frames(rebuilt) - flow.frames(true)) / flow.pose_deviation
    return error.abs().mean(), error.diff(dim=1).abs().mean()


@torch.no_grad()
def held_out_likelihood(flow: PoseFlow, held_out: Stretches) -> float:
    """Return the negative log-likelihood a dimension of the same stretches each time."""
    batch = held_out.draw(np.random.default_rng(0), _HELD_OUT_BATCH)
    return float(negative_log_likelihood(*flow(flow.hops(batch.pose), condition_of(flow, batch))))


def to_json(plan: PosePlan) -> str:
    """Return the whole plan as text that `PosePlan.from_dict` reads."""
    return json.dumps(asdict(plan), indent=2) + "\n"
