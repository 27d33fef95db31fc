"""`edtalk train stage semantics`: the paper's reading of feelings, on film (section 3.3, Eq. 7).

HuBERT and RoBERTa stay as they are (`encoders`, a local folder; their convolutions and all else are frozen, which the
paper does with the convolutions alone). The small networks between learn the expression weights by L1, while words and
sound are masked at random.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor

from edtalk_server import bundles
from edtalk_server.networks.voice.hubert_roberta import (
    HubertRoberta,
    HubertRobertaConfig,
    expression_loss,
)
from edtalk_server.networks.voice.semantics import CLASSES, TEXT_MASK
from edtalk_server.training.loop.parts import write_part
from edtalk_server.training.loop.prefetcher import generator_of
from edtalk_server.training.loop.trainer import Outcome, Schedule, Trainer, learning_rate
from edtalk_server.training.semantics.utterances import Utterances
from shared_protocol.banks import Bank, BankLayout

ROLE, KIND = "semantics", "hubert_roberta"
HELD_OUT_SHARE = 0.1
"""Share of the clips, the last ones by name, on which a run is measured."""


@dataclass(frozen=True)
class SemanticsPlan(Schedule):
    """The run. `film`: a cache of prepared clips with sound; `transcripts`: a folder with their words ("": sound
    alone); `encoders`: the folder with hubert/ and roberta/; `face`: the bundle whose expressions are read."""

    steps: int = 2000
    batch: int = 32
    learning_rate: float = 1e-4
    film: str = ""
    transcripts: str = ""
    encoders: str = ""
    face: str = bundles.STARTER
    seed: int = 5
    every_steps: int = 200

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a JSON object; `ValueError` names an unknown field, or one that is missing."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}")
        plan = cls(**values)
        if missing := [name for name in ("film", "encoders") if not getattr(plan, name)]:
            raise ValueError(f"the field {missing[0]!r} is missing")
        return plan


def new_network(
    plan: SemanticsPlan, bundle: bundles.Bundle, sound: int = 1024, text: int = 768
) -> HubertRoberta:
    """Return untrained networks for encoders of these widths, and for the bundle's expression bank and presets."""
    bank = bundle.layout.slice_of(Bank.EXPRESSION)
    config = HubertRobertaConfig(plan.encoders, sound, text, bank.stop - bank.start)
    network = HubertRoberta(config)
    network.presets.copy_(torch.from_numpy(presets_of(bundle.layout, bundle.manifest.presets)))
    return network


def widths(encoders: str) -> tuple[int, int]:
    """Return the widths of the features that the encoders of a folder give. Raises `OSError`, `ValueError`."""
    sizes = [
        json.loads((Path(encoders) / name / "config.json").read_text("utf-8")).get("hidden_size")
        for name in ("hubert", "roberta")
    ]
    if not all(isinstance(size, int) for size in sizes):
        raise ValueError("a config.json names no hidden_size")
    return sizes[0], sizes[1]


def presets_of(layout: BankLayout, presets: Mapping[str, Mapping[str, float]]) -> np.ndarray[Any, Any]:
    """Return what each of the eight emotions does to the expression bank [8, outputs]."""
    bases = layout.bases[layout.slice_of(Bank.EXPRESSION)]
    rows = [[presets.get(name, {}).get(basis.identifier, 0.0) for basis in bases] for name in CLASSES]
    return np.array(rows, np.float32)


class SemanticsTrainer(Trainer):
    """A run in a folder: `semantics.pt`, its metrics, and the result. Batch norm needs a batch of two."""

    network: HubertRoberta

    def __init__(self, folder: Path, plan: SemanticsPlan, network: HubertRoberta, data: Utterances) -> None:
        if len(data) < 3:
            raise ValueError("fewer than three utterances")
        self.folder, self.plan = folder, plan
        held_out = max(1, round(HELD_OUT_SHARE * len(data)))
        self.data, self.held_out = data.part(slice(0, -held_out)), data.part(slice(-held_out, None))
        super().__init__(folder / f"{ROLE}.pt", plan, {"network": network.train()}, network)
        self.resume()

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimizer": torch.optim.Adam(self.parameters(), self.plan.learning_rate)}

    def rate(self) -> float:
        return learning_rate(self.plan.learning_rate, self.state.step, self.done, warm_up=20)

    def config(self) -> dict[str, Any]:
        return self.network.config.to_dict()

    def loss(self) -> Outcome:
        rng = generator_of(self.plan.seed, self.batch_number)
        chosen = rng.integers(len(self.data), size=max(self.plan.batch, 2))
        sound, text, wanted = _tensors(self.data, chosen)
        draws = torch.from_numpy(rng.random(len(chosen)).astype(np.float32))
        loss = expression_loss(
            self.network, sound, text, wanted, masked_draws(draws, self.data.has_text[chosen])
        )
        return Outcome(loss, {"expression": loss}, samples=len(chosen))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        sound, text, wanted = _tensors(self.held_out, np.arange(len(self.held_out)))
        there = torch.from_numpy(self.held_out.has_text.astype(np.float32))
        found = cast(HubertRoberta, self.average)(sound, text, torch.ones(len(sound)), there)
        usual = torch.from_numpy(self.data.expression.mean(0))
        return {
            "expression": float((found - wanted).abs().mean()),
            "usual": float((usual - wanted).abs().mean()),
        }

    def finish(self) -> None:
        """Write `semantics.safetensors` (float16) and `semantics.json`, the part for a bundle's manifest."""
        write_part(self.folder, ROLE, KIND, self.network.config.to_dict(), self.average)


def masked_draws(draws: Tensor, has_text: np.ndarray[Any, Any]) -> Tensor:
    """Return draws [B] for Eq. 7 in which utterances without words have their sound: below .25 text is masked."""
    without = torch.from_numpy(~np.asarray(has_text, bool))
    return torch.where(without, draws * TEXT_MASK, draws)


def _tensors(data: Utterances, chosen: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor, Tensor]:
    parts = (data.sound[chosen], data.text[chosen], data.expression[chosen])
    sound, text, wanted = (torch.from_numpy(part.astype(np.float32)) for part in parts)
    return sound, text, wanted
