"""The paper's ablation table by one command: each row is trained with several seeds, and measured on clips held out.

Rows that differ from the full model only from a later stage on begin with the full model's result of the stage before,
so that they differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edtalk_server.engine.tensors import to_pictures
from edtalk_server.evaluation.measures.reenactment import RunningMeans
from edtalk_server.evaluation.metrics import features, image_distance
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.interface import Encoding
from edtalk_server.training.datasets.interface import ClipBatch, ClipSet, SwapBatch, swap_sets
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.paper import config as configs
from edtalk_server.training.paper.config import Ablation, StageConfig, StageName, path_of
from edtalk_server.training.paper.model import MotionLatents, PaperModel, first_rows
from edtalk_server.training.paper.trainer import PaperTrainer

STAGES = (StageName.RECONSTRUCTION, StageName.MOUTH_POSE, StageName.EXPRESSION)
_TRUTH = {"flow": 0.0, "mask": 0.0, "probe": 0.0}


@dataclass(frozen=True)
class Variant:
    """A row of the table: what differs from the full model (fields of a stage's config), and from which stage on."""

    title: str
    changes: Mapping[str, Any]
    since: StageName = StageName.RECONSTRUCTION


VARIANTS: Mapping[str, Variant] = {
    "full": Variant("full", {}),
    "bank": Variant("without bank", {"ablation": {"bank": False}}),
    "orthogonal": Variant("without orthogonality", {"ablation": {"orthogonal": False}}),
    "enhancement": Variant("without EEM", {"ablation": {"enhancement": False}}, StageName.EXPRESSION),
    "feature": Variant("without L_fea", {"weights": {"feature": 0.0}}, StageName.MOUTH_POSE),
    "self": Variant("without L_self", {"weights": {"self_reconstruction": 0.0}}, StageName.MOUTH_POSE),
    "motion": Variant("without L_mot", {"weights": {"motion": 0.0}}, StageName.EXPRESSION),
    "mouth": Variant("without L_m-c", {"weights": {"mouth_consistency": 0.0}}, StageName.EXPRESSION),
    "swaps": Variant("without exact swaps", {"swap_share": 0.0}, StageName.MOUTH_POSE),
    "truth": Variant("without rendered truth", {"weights": _TRUTH, "swap_share": 0.0}),
}
"""The rows by name; `full` comes first, because others begin with its stages."""

DEFINITIONS: Mapping[str, str] = {
    "psnr": "self-reenactment: the source of a clip driven by the mouth, pose and expression of another frame, against "
    "that frame; dB over all pixels of 8-bit RGB",
    "ssim": "structural similarity of the same pictures (Gaussian window of 11, sigma 1.5, within the picture)",
    "features": "their distance in the features of a fixed random network (not LPIPS)",
    "swap_psnr": "mouth, pose and expression of three pictures, half of them of other people, against the true render",
    "swap_ssim": "structural similarity of those",
}
_DIGITS = {"psnr": 2, "swap_psnr": 2}


@dataclass(frozen=True)
class Grid:
    """What is trained: a config for each stage, the names of the rows, the seeds, and the folder of the runs."""

    stages: Mapping[StageName, StageConfig]
    rows: Sequence[str]
    seeds: Sequence[int]
    folder: Path

    def runs(self) -> Iterator[tuple[str, int]]:
        """Yield each row's name and seed; the full model first, with each seed, where others need it."""
        names = list(self.rows)
        needed = any(VARIANTS[name].since is not StageName.RECONSTRUCTION for name in names)
        if "full" in names or needed:
            names = ["full", *(name for name in names if name != "full")]
        return ((name, seed) for name in names for seed in self.seeds)

    def place(self, name: str, seed: int) -> Path:
        """Return the folder of a run."""
        return self.folder / name / f"seed_{seed}"

    def config(self, name: str, seed: int, stage: StageName) -> StageConfig:
        """Return a stage's config in a row; the first stage that differs begins where the full model's ended."""
        variant = VARIANTS[name]
        changed = configs.from_dict(variant.changes, replace(self.stages[stage], seed=seed))
        before = STAGES[max(STAGES.index(stage) - 1, 0)]
        if stage is variant.since and stage is not before:
            return replace(changed, start=str(path_of(self.place("full", seed), before)))
        return changed

    def stages_of(self, name: str) -> Sequence[StageName]:
        """Return the stages that a row trains itself."""
        return STAGES[STAGES.index(VARIANTS[name].since) :]


def train(
    grid: Grid,
    data: Mapping[StageName, ClipSet],
    group: ProcessGroup,
    on_run: Callable[[str], None] = print,
) -> bool:
    """Train every run of the grid on each stage's data, and go on where it was stopped. False when it was interrupted
    again."""
    for name, seed in grid.runs():
        for stage in grid.stages_of(name):
            place = grid.place(name, seed)
            if _finished(path_of(place, stage)):
                continue
            on_run(f"{VARIANTS[name].title}, seed {seed}: {stage}")
            place.mkdir(parents=True, exist_ok=True)
            if not PaperTrainer(stage, grid.config(name, seed, stage), data[stage], place, group).train():
                return False
    return True


def _finished(path: Path) -> bool:
    return path.is_file() and bool(checkpoint.load(path)["finished"])


# --- measuring -------------------------------------------------------------------------------------------------------


def measure(grid: Grid, data: ClipSet, clips: int, batch: int = 4) -> dict[str, list[dict[str, float]]]:
    """Return the measures of each row, one mapping a seed, on `clips` clips (and as many swaps) of `data`."""
    return {
        name: [
            _measures(_model(path_of(grid.place(name, seed), STAGES[-1])), data, clips, batch)
            for seed in grid.seeds
        ]
        for name in grid.rows
    }


def _model(path: Path) -> PaperModel:
    state = checkpoint.load(path)
    network = EDTalkConfig.from_dict(state["config"]["network"])
    model = PaperModel(network, Ablation(**state["config"]["ablation"]))
    checkpoint.fill(model, state["average"], path)
    return model.eval().requires_grad_(requires_grad=False)


@torch.inference_mode()
def _measures(model: PaperModel, data: ClipSet, clips: int, batch: int) -> dict[str, float]:
    """Measure one model; every model sees the same clips."""
    random, means = np.random.default_rng(0), RunningMeans()
    able = swap_sets(data)
    for _ in range(-(-clips // batch)):
        means.add(_self_rows(model, data.clips(random, batch, 1)))
        if able:
            means.add(_swap_rows(model, able[0].factor_swaps(random, batch)))
    return means.values()


def _self_rows(model: PaperModel, batch: ClipBatch) -> Iterator[dict[str, float]]:
    target = batch.frames[:, 0]
    encoded = model.encode(torch.cat([batch.source, target]))
    motion = model.estimate(encoded.latent[len(target) :])
    drawn, true = _pictures(model, first_rows(encoded, len(target)), motion), to_pictures(target)
    alike, apart = image_distance.ssim(drawn, true), features.distances(drawn, true)
    for i, values in enumerate(zip(alike, apart, strict=True)):
        yield {"psnr": image_distance.psnr(drawn[i], true[i]), "ssim": values[0], "features": values[1]}


def _swap_rows(model: PaperModel, batch: SwapBatch) -> Iterator[dict[str, float]]:
    count = len(batch.target)
    encoded = model.encode(torch.cat([batch.source, batch.mouth, batch.pose, batch.expression]))
    _, mouth, pose, expression = model.estimate(encoded.latent).split(count)
    motion = MotionLatents(mouth.mouth, pose.pose, expression.expression)
    drawn, true = _pictures(model, first_rows(encoded, count), motion), to_pictures(batch.target)
    for i, alike in enumerate(image_distance.ssim(drawn, true)):
        yield {"swap_psnr": image_distance.psnr(drawn[i], true[i]), "swap_ssim": alike}


def _pictures(model: PaperModel, source: Encoding, motion: MotionLatents) -> image_distance.Picture:
    style = motion.mouth + motion.pose + motion.expression
    return to_pictures(model.draw(source, style, motion.expression).picture)


# --- the table -------------------------------------------------------------------------------------------------------


def markdown(found: Mapping[str, Sequence[Mapping[str, float]]], grid: Grid, about: str) -> str:
    """Return the table: mean ± standard deviation over seeds, and below it every column's definition."""
    columns = [key for key in DEFINITIONS if any(key in values for rows in found.values() for values in rows)]
    lines = [f"| row | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, rows in found.items():
        cells = [_cell(key, [values[key] for values in rows if key in values]) for key in columns]
        lines.append(f"| {VARIANTS[name].title} | {' | '.join(cells)} |")
    seeds = ", ".join(map(str, grid.seeds))
    steps = ", ".join(f"{stage} {config.steps}" for stage, config in grid.stages.items())
    notes = [
        "",
        f"Mean ± standard deviation over the seeds {seeds}. {about} Steps: {steps}.",
        "",
        *(f"* `{key}`: {DEFINITIONS[key]}." for key in columns),
    ]
    return "\n".join([*lines, *notes]) + "\n"


def _cell(key: str, values: Sequence[float]) -> str:
    if not values:
        return "–"
    digits = _DIGITS.get(key, 4)
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"
