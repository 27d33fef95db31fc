"""Fine-tuning: one network learns one person, and is held to how it moved others before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edtalk_server.training.finetune.data import FilmData
from edtalk_server.training.finetune.model import TunableModel
from edtalk_server.training.finetune.regularization import OtherPeople
from edtalk_server.training.loop.prefetcher import generator_of
from edtalk_server.training.loop.trainer import Outcome, Schedule, Trainer, learning_rate
from shared_protocol.errors import EDTalkError, ErrorCode

_KEEP_WEIGHT = 2.0
"""How much moving others as before counts, beside drawing this person right."""
STATE_FILE = "finetune.pt"


@dataclass(frozen=True)
class Plan(Schedule):
    """`keep` is the share of each batch that holds the network to how it moved others; `learning_rate` 0 is the one
    that suits the kind of network."""

    minutes: float = 10.0
    batch: int = 8
    keep: float = 0.5
    learning_rate: float = 0.0
    every_seconds: float = 60.0
    log_steps: int = 50


class FineTuner(Trainer):
    """Trains the drawing part of one bundle's network; the state is in one folder."""

    decay = 0.995

    def __init__(
        self, model: TunableModel, film: FilmData, others: OtherPeople, plan: Plan, folder: Path, digest: str
    ) -> None:
        self.model, self.film, self.others, self.plan = model, film, others, plan
        self._digest = digest
        super().__init__(folder / STATE_FILE, plan, {"network": model.drawer}, model.drawer)
        self.resume()

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        options = {"betas": (0.9, 0.98), "weight_decay": 0.0}
        return {"optimizer": torch.optim.AdamW(self.parameters(), self._peak, **options)}  # type: ignore[arg-type]

    @property
    def _peak(self) -> float:
        return self.plan.learning_rate or self.model.rate

    def rate(self) -> float:
        return learning_rate(self._peak, self.state.step, self.done, warm_up=20)

    def loss(self) -> Outcome:
        plan, rng = self.plan, generator_of(self.plan.seed, self.batch_number)
        keep_count = round(plan.keep * plan.batch)
        values = {"film": self.model.film_loss(self.film.pairs(rng, plan.batch - keep_count))}
        total = values["film"]
        if keep_count:
            change = self.others.changes(rng, keep_count, self.film)
            values["keep"] = self.model.keep_loss(self.others.sources(rng, keep_count), change)
            total = total + _KEEP_WEIGHT * values["keep"]
        return Outcome(total, values, samples=plan.batch)

    def finish(self) -> None:
        """Give the network its averaged parameters."""
        self.model.drawer.load_state_dict(self.average.state_dict())
        self.model.drawer.requires_grad_(requires_grad=False)

    def config(self) -> dict[str, Any]:
        return {"bundle": self._digest}

    def check(self, state: Mapping[str, Any]) -> None:
        if state["config"]["bundle"] != self._digest:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                f"{self.path.parent} holds the state of fine-tuning another bundle.",
                "Remove that folder to start over, or give another --run folder.",
            )
