"""Teach the painters of mouth and eyes (`networks/detail`) over a frozen face network.

`python -m edtalk_server.training.detail.stage --data FOLDER --holdout FOLDER --out FOLDER --minutes 40`
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from edtalk_server.networks.detail.network import MARGIN, DetailConfig, DetailNetwork, window
from edtalk_server.networks.detail.painter import Painted, Painter
from edtalk_server.synthetic.controls import MIRROR_PERMUTATION, MIRROR_SIGN, STARTER_LAYOUT
from edtalk_server.training.detail.batches import Boxed, Rows, batch_of
from edtalk_server.training.detail.teeth import even_enamel, fit_teeth
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.trainer import Outcome, Schedule, Trainer, learning_rate

log = logging.getLogger(__name__)

CHECKPOINT = "detail.pt"
_HELD_ROWS = 210
_COVER_SHARE = 0.15
"""Weight of saying which pixels are painted, against the pictures' errors."""
_WRONG = 0.08
"""A drawn eye's pixel further from the truth than this is to be painted."""
_MOUTH_NAMES = (
    "jaw_open",
    "funnel",
    "lower_lip_down",
    "upper_lip_up",
    "lower_lip_down_side",
    "upper_lip_up_side",
)
_EYE_NAMES = ("blink_left", "blink_right", "squint", "gaze_left", "gaze_up")
"""Weights that ask for a mouth, or for eyes, to be painted: what parts the lips, what moves lids and irises."""
EYES = tuple(STARTER_LAYOUT.index(name) for name in ("blink_left", "blink_right", "gaze_left", "gaze_up"))


def new_network(config: DetailConfig | None = None) -> DetailNetwork:
    """Return an untrained network for the starter's weights, with an even set of teeth."""
    network = DetailNetwork(config or DetailConfig())
    network.mirror_order.copy_(torch.from_numpy(MIRROR_PERMUTATION))
    network.mirror_sign.copy_(torch.from_numpy(MIRROR_SIGN))
    for buffer, names in ((network.mouth_moves, _MOUTH_NAMES), (network.eye_moves, _EYE_NAMES)):
        buffer.zero_()
        buffer[[STARTER_LAYOUT.index(name) for name in names]] = 1.0
    network.enamel.copy_(even_enamel())
    return network


def _grown(mask: Tensor, by: int) -> Tensor:
    return F.max_pool2d(mask, 2 * by + 1, 1, by)


def _loss(
    painted: Painted, boxes: tuple[Tensor, Tensor, Tensor], matter: Tensor, free: Tensor, covered: Tensor
) -> Tensor:
    """Compare what was painted with the truth. `matter` weighs pixels; where `free` is 0 the drawn frame should
    stand, where `covered` is 1 it should not."""
    source, drawn, true = boxes
    picture = painted.compose(source, drawn)
    rim = window((picture.shape[2], picture.shape[3]), MARGIN, picture.device)
    picture = drawn + rim * (picture - drawn)
    error = picture - true
    look = matter * (0.2 + 0.8 * rim)
    plain = (error.abs() * look).sum() / (look.sum() * 3)
    across = (error[..., 1:] - error[..., :-1]).abs() * look[..., 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * look[..., 1:, :]
    edges = (across.sum() + down.sum()) / (look.sum() * 3)
    own = (painted.colour - true).abs() * free
    invented = ((1 - painted.shares[:, :1]) * (1 - free)).mean()
    drawn_share = painted.shares[:, :1].clamp(1e-4, 1 - 1e-4)
    cover = -(covered * (1 - drawn_share).log() + (1 - free) * drawn_share.log()).mean()
    return plain + 0.7 * edges + 0.1 * own.mean() + 0.04 * invented + _COVER_SHARE * cover


def mouth_loss(network: DetailNetwork, batch: Boxed) -> Tensor:
    """Return how far painted mouths are from true ones."""
    with torch.autocast("cpu", torch.bfloat16):
        mouth = network.mouth(*batch.mouth[:2], batch.guide, batch.weights)
    inside, teeth = batch.inside[:, :1], batch.inside[:, 1:2]
    open_ = _grown(inside, 3)
    return _loss(mouth, batch.mouth, 1 + 6 * open_ + 6 * teeth, open_, inside)


def eye_loss(network: DetailNetwork, batch: Boxed) -> Tensor:
    """Return how far painted eyes are from true ones."""
    painter = _eye(network)
    with torch.autocast("cpu", torch.bfloat16):
        eyes = painter(*batch.eyes[:2], None, batch.eye_weights)
    ball = _grown(batch.balls.amax(1, keepdim=True), 2)
    wrong = ((batch.eyes[1] - batch.eyes[2]).abs().mean(1, keepdim=True) > _WRONG).float()
    return _loss(eyes, batch.eyes, 1 + 8 * ball, _grown(ball, 2), ball * wrong)


def _eye(network: DetailNetwork) -> Painter:
    """Return the painter of eyes, which only a bundle may leave out."""
    if network.eye is None:
        raise ValueError("these painters have none for eyes")
    return network.eye


@torch.no_grad()
def validate(network: DetailNetwork, rows: dict[str, npt.NDArray]) -> dict[str, float]:
    """Measure plain L1 in the open mouth and the eyes of people it never saw, beside that of the drawn frame."""
    batch = batch_of(rows, dressed=False)
    values: dict[str, float] = {}
    mouth = network.mouth(*batch.mouth[:2], batch.guide, batch.weights).compose(*batch.mouth[:2])
    eyes = _eye(network)(*batch.eyes[:2], None, batch.eye_weights).compose(*batch.eyes[:2])
    ball = _grown(batch.balls.amax(1, keepdim=True), 1)
    for name, painted, (_, drawn, true), mask in (
        ("mouth", mouth, batch.mouth, batch.inside[:, :1]),
        ("eyes", eyes, batch.eyes, ball),
    ):
        share = mask.sum() * 3
        values[name] = round(float(((painted - true).abs() * mask).sum() / share), 5)
        values[f"{name}_drawn"] = round(float(((drawn - true).abs() * mask).sum() / share), 5)
    return values


@dataclass(frozen=True)
class DetailPlan(Schedule):
    """How long and how. `batch` counts rows of mouths a step; of eyes there are twice as many, twice as often.

    `rate` is the learning rate's peak; `teeth_steps` fit the finder of teeth at the end; a new run begins with the
    painters of the checkpoint `start`; only the painters named in `parts` learn.
    """

    minutes: float = 40.0
    every_seconds: float = 60.0
    batch: int = 8
    rate: float = 1.2e-3
    teeth_steps: int = 2500
    start: Path | None = None
    parts: tuple[str, ...] = ("mouth", "eyes")


class DetailTrainer(Trainer):
    """Trains the painters on the shards of `data`, which may still be growing."""

    network: DetailNetwork
    decay = 0.996

    def __init__(self, data: Path, holdout: Path, out: Path, plan: DetailPlan) -> None:
        self.plan, self.rows, self.held = plan, Rows(data), Rows(holdout)
        torch.manual_seed(plan.seed)
        network = new_network()
        network.teeth.requires_grad_(requires_grad=False)
        out.mkdir(parents=True, exist_ok=True)
        super().__init__(out / CHECKPOINT, plan, {"network": network}, network)
        if plan.start is not None:
            self._take_over(checkpoint.load(plan.start)["average"])
        self.resume()

    @property
    def average(self) -> DetailNetwork:
        return cast(DetailNetwork, super().average)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        adam = torch.optim.AdamW(self.parameters(), self.plan.rate, betas=(0.9, 0.98), weight_decay=1e-3)
        return {"optimizer": adam}

    def rate(self) -> float:
        return learning_rate(self.plan.rate, self.optimizer_step, self.done, warm_up=40, floor=0.05)

    def config(self) -> dict[str, Any]:
        return self.network.config.to_dict()

    def refresh(self) -> None:
        self.rows.refresh()
        self.held.refresh()

    def loss(self) -> Outcome:
        random = np.random.default_rng([self.plan.seed, self.batch_number])
        parts: dict[str, Tensor] = {}
        if "eyes" in self.plan.parts:
            eyes = batch_of(self.rows.take(random, 2 * self.plan.batch, moving=EYES), dressed=True)
            parts["eyes"] = eye_loss(self.network, eyes)
        if "mouth" in self.plan.parts and (self.state.step % 2 == 0 or "eyes" not in self.plan.parts):
            mouths = batch_of(self.rows.take(random, self.plan.batch), dressed=True)
            parts["mouth"] = mouth_loss(self.network, mouths)
        return Outcome(torch.stack(list(parts.values())).sum(), parts, samples=self.plan.batch)

    def validate(self) -> dict[str, float]:
        return validate(self.average, self.held.first(_HELD_ROWS))

    def train(
        self,
        until: float = math.inf,
        until_step: int | None = None,
        on_progress: Callable[[float], None] = lambda _done: None,
    ) -> bool:
        """Train as every trainer does; once the painters are done, fit the finder of teeth to all rows that there
        are."""
        finished = super().train(until, until_step, on_progress)
        if finished:
            rows = self.rows.all(("weights", "points", "frames", "teeth"))
            error = fit_teeth(self.network.teeth, rows, self.plan.teeth_steps)
            self.average.teeth.load_state_dict(self.network.teeth.state_dict())
            log.info("teeth are found within %.3f of half a box", error)
            self.save()
        return finished

    def _take_over(self, average: dict[str, Tensor]) -> None:
        """Begin with the painters of another run."""
        painters = {name: value for name, value in average.items() if name.split(".")[0] in ("mouth", "eye")}
        for network in (self.network, self.average):
            network.load_state_dict({**network.state_dict(), **painters})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "holdout", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    plan = DetailPlan()
    parser.add_argument("--minutes", type=float, default=plan.minutes, help="how long in all (default: 40)")
    parser.add_argument("--batch", type=int, default=plan.batch)
    parser.add_argument("--rate", type=float, default=plan.rate)
    parser.add_argument("--teeth-steps", type=int, default=plan.teeth_steps)
    parser.add_argument("--start", type=Path, help="checkpoint whose painters a new run begins with")
    parser.add_argument("--only", choices=plan.parts, help="only one of the painters learns")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(1)
    plan = DetailPlan(
        minutes=options.minutes,
        batch=options.batch,
        rate=options.rate,
        teeth_steps=options.teeth_steps,
        start=options.start,
        parts=(options.only,) if options.only else plan.parts,
    )
    DetailTrainer(options.data, options.holdout, options.out, plan).train()


if __name__ == "__main__":
    main()
