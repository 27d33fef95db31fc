"""The loop. It works for a number of minutes (or steps), over any number of sittings, and can be stopped at any moment:
started again it goes on after the last state that was saved."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edtalk_server.training.finetune.keep import Keepers
from edtalk_server.training.finetune.material import Material
from edtalk_server.training.finetune.tuning import Tuning
from edtalk_server.training.loop import stage
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

_HORIZON = 0.995
_KEEP_WEIGHT = 2.0
"""How much being as before for others counts, beside being right for this person."""
STATE_FILE = "finetune.pt"


@dataclass(frozen=True)
class Plan:
    """How long and how. `steps` stand in for `minutes` where they are given; `keep` is the share of each batch that
    holds the network to how it moved others before; `rate` 0 is the kind of network's own."""

    minutes: float = 10.0
    steps: int = 0
    batch: int = 8
    keep: float = 0.5
    rate: float = 0.0
    seed: int = 0
    every_seconds: float = 60.0


@dataclass
class Progress:
    """How far it is: `seconds` counts time in the loop only, over all sittings."""

    step: int = 0
    seconds: float = 0.0


class FineTuning:
    """One network, one person, one folder for the state."""

    def __init__(
        self, tuning: Tuning, material: Material, keepers: Keepers, plan: Plan, folder: Path, digest: str
    ) -> None:
        self.tuning, self.material, self.keepers, self.plan = tuning, material, keepers, plan
        self.path = folder / STATE_FILE
        self.progress = Progress()
        self._digest = digest
        self._average = copy.deepcopy(tuning.drawer).requires_grad_(requires_grad=False)
        self._learned = list(tuning.drawer.parameters())
        self._optimizer = torch.optim.AdamW(
            self._learned, plan.rate or tuning.rate, betas=(0.9, 0.98), weight_decay=0.0
        )
        self._resume()

    @property
    def done(self) -> float:
        """The part of the plan that is behind us, 0..1."""
        if self.plan.steps:
            return min(1.0, self.progress.step / self.plan.steps)
        return min(1.0, self.progress.seconds / (60 * self.plan.minutes))

    def train(self, show: Any = lambda _percent: None) -> None:
        """Work until the plan is done; an interrupt saves first. `show` is told the percent done."""
        saved = mark = time.monotonic()
        try:
            while self.done < 1:
                self._step()
                now = time.monotonic()
                self.progress.seconds += now - mark
                mark = now
                show(int(100 * self.done))
                if now - saved > self.plan.every_seconds:
                    self.save()
                    saved = mark = time.monotonic()
        except (KeyboardInterrupt, SystemExit):
            self.save()
            raise
        self.save()

    def finish(self) -> None:
        """Give the network its averaged parameters."""
        self.tuning.drawer.load_state_dict(self._average.state_dict())
        self.tuning.drawer.requires_grad_(requires_grad=False)

    def _step(self) -> None:
        plan, step = self.plan, self.progress.step
        rng = np.random.default_rng([plan.seed, step])
        torch.manual_seed(plan.seed + step)
        for group in self._optimizer.param_groups:
            group["lr"] = stage.learning_rate(plan.rate or self.tuning.rate, step, self.done, warm_up=20)
        kept = round(plan.keep * plan.batch)
        loss = self.tuning.film_loss(self.material.pairs(rng, plan.batch - kept))
        if kept:
            change = self.keepers.changes(rng, kept, self.material)
            loss = loss + _KEEP_WEIGHT * self.tuning.keep_loss(self.keepers.sources(rng, kept), change)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._learned, 1.0)
        self._optimizer.step()
        self.progress.step += 1
        self._follow()
        if step % 50 == 0:
            log.info("step %d (%.0f %%): loss %.4f", step, 100 * self.done, float(loss.detach()))

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(_HORIZON, (self.progress.step + 1) / (self.progress.step + 10))
        for mine, theirs in zip(self._average.parameters(), self._learned, strict=True):
            mine.lerp_(theirs, 1 - keep)

    # --- state ---

    def save(self) -> None:
        """Write the state, whole; `EDTalkError(INTERNAL)` instead of one with numbers that are not finite."""
        tensors: dict[str, Tensor] = self.tuning.drawer.state_dict()
        if not all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point()):
            raise EDTalkError(
                ErrorCode.INTERNAL,
                f"Fine-tuning has numbers that are not finite at step {self.progress.step}; nothing was saved.",
                "Start again with a lower --rate; it goes on from the last good state.",
            )
        state = {
            "bundle": self._digest,
            "progress": asdict(self.progress),
            "drawer": tensors,
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        stage.save(self.path, state)

    def _resume(self) -> None:
        if not self.path.is_file():
            return
        state = stage.load(self.path)
        if state["bundle"] != self._digest:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                f"{self.path.parent} holds the state of fine-tuning another bundle.",
                "Remove that folder to begin anew, or give another --run folder.",
            )
        self.tuning.drawer.load_state_dict(state["drawer"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
