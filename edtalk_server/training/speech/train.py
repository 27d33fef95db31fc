"""Train Audio2Lip: `python -m edtalk_server.training.speech.train --out runs/audio --minutes 20`.

The paper regresses mouth weights from audio (section 3.3); here the truth comes with the synthetic speech. Loss: mean
squared error, 0.1 times that of the velocity, a hinge that shuts the lips in p, b and m, and rest in silence. One CPU
core is enough. The run saves itself every two minutes and continues where it stopped.
"""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server import bundles
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig
from edtalk_server.training.loop.metrics import MetricLogger
from edtalk_server.training.loop.parts import write_part
from edtalk_server.training.loop.prefetcher import generator_of
from edtalk_server.training.loop.trainer import Outcome, Schedule, Trainer, learning_rate
from edtalk_server.training.speech.augment import (
    DECIBEL,
    LOUDEST,
    SILENT,
    Disturbance,
    draw_throats,
    with_throats,
)
from edtalk_server.training.speech.corpus import WINDOW, Clips, CorpusConfig, Kind, build
from edtalk_server.training.speech.visemes import MOUTH_NAMES, aperture
from shared_protocol.errors import EDTalkError, ErrorCode

STARTER_WIDTHS = (16, 32, 64, 128, 256)
_MIDDLE = slice(6, 10)
"""Columns of a window that are nearest to its frame."""
VELOCITY_STEP = 3
"""Mel columns between the two windows of a velocity: nearly one frame of 25 fps (3.2)."""
_SHARES = {Kind.ESPEAK: 0.4, Kind.FLITE: 0.52, Kind.SILENCE: 0.08}
"""Of each batch. flite's voices come from recordings of people, so they are nearer to real speech; espeak has more."""


@dataclass(frozen=True)
class TrainConfig(Schedule):
    """The schedule and the loss: `pairs` windows of a batch are followed by their neighbours, for the velocity."""

    minutes: float = 20.0
    batch: int = 128
    pairs: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    velocity_weight: float = 0.1
    closure_weight: float = 1.0
    silence_weight: float = 2.0
    start: str = ""
    """A bundle whose audio part a new run starts from. Empty: from nothing."""
    seed: int = 5
    every_seconds: float = 120.0


class Sampler:
    """Draws windows from the clips, some of them in neighbouring pairs."""

    def __init__(self, clips: Clips) -> None:
        follows = clips.starts[VELOCITY_STEP:] - clips.starts[:-VELOCITY_STEP] == VELOCITY_STEP
        first = np.nonzero(follows)[0]
        pools = {kind: first[clips.kind[first] == kind] for kind in _SHARES}
        self._pools = [pool for pool in pools.values() if len(pool)]
        shares = np.array([_SHARES[kind] for kind, pool in pools.items() if len(pool)])
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator, count: int, pairs: int) -> npt.NDArray[np.int64]:
        """Return row numbers [count]; the last `pairs` are `VELOCITY_STEP` columns behind the first `pairs`."""
        counts = rng.multinomial(count - pairs, self._shares)
        rows = np.concatenate([rng.choice(pool, n) for pool, n in zip(self._pools, counts, strict=True)])
        rng.shuffle(rows)
        return np.concatenate([rows, rows[:pairs] + VELOCITY_STEP])


def windows_at(clips: Clips, rows: npt.NDArray[np.int64]) -> Tensor:
    """Return mel windows [len(rows), 1, 80, 16]."""
    columns = clips.starts[rows][:, None] + np.arange(WINDOW)
    return torch.from_numpy(clips.mel[:, columns].transpose(1, 0, 2).astype(np.float32))[:, None]


class SpeechLoss:
    """The loss described at the top. `scale` [20] makes the channels comparable."""

    def __init__(self, config: TrainConfig, clips: Clips) -> None:
        self.config = config
        self._scale = torch.from_numpy(clips.weights.astype(np.float32).std(axis=0)) + 0.06

    def __call__(self, predicted: Tensor, target: Tensor, shut: Tensor, rest: Tensor) -> Tensor:
        error = (predicted - target) / self._scale
        weight = 1.0 + self.config.silence_weight * rest[:, None]
        pairs = self.config.pairs
        velocity = error[-pairs:] - error[:pairs]
        closure = shut * torch.relu(_aperture(predicted) - 0.02) ** 2 / self._scale[0] ** 2
        return (
            (weight * error**2).mean()
            + self.config.velocity_weight * (velocity**2).mean()
            + self.config.closure_weight * closure.mean()
        )


_TERMS = {"jaw_open": 1.0, "lips_together": -1.0, "lower_lip_down": 0.25, "upper_lip_up": 0.25, "press": -0.2}
_APERTURE = torch.tensor([_TERMS.get(name, 0.0) for name in MOUTH_NAMES])


def _aperture(weights: Tensor) -> Tensor:
    """Return how far the lips are apart (`visemes.aperture`), differentiably."""
    return weights @ _APERTURE


@torch.no_grad()
def evaluate(network: Audio2Lip, clips: Clips) -> dict[str, float]:
    """Return, for each kind of held-out clip, `kind/channel`: the correlation of each moving channel with the truth;
    `rest/...`: mean size of all weights and mean jaw weight in silence; `closure/recall`: the share of p, b and m in
    which the lips meet; `loudness/...`: the correlation of the jaw with loudness, predicted and true, and by how much
    the jaw opens further when all is 12 dB louder, in standard deviations of the jaw."""
    rows = np.arange(0, len(clips.starts), VELOCITY_STEP)
    predicted = _predict(network, clips, rows)
    result: dict[str, float] = {}
    for kind in Kind:
        chosen = clips.kind[rows] == kind
        if chosen.any():
            truth = clips.weights[rows][chosen].astype(np.float32)
            values = _correlations(predicted.numpy()[chosen], truth)
            result |= {f"{kind.name.lower()}/{name}": value for name, value in values.items()}
    quiet = predicted.numpy()[clips.rest[rows]]
    result |= _loudness(network, clips, rows, predicted) | {"closure/recall": closure_recall(network, clips)}
    return result | {
        "rest/mean_size": float(np.abs(quiet).mean()),
        "rest/jaw_open": float(quiet[:, 0].mean()),
    }


def _predict(network: Audio2Lip, clips: Clips, rows: npt.NDArray[np.int64], louder: float = 0.0) -> Tensor:
    """Return weights [len(rows), 20] of windows that are `louder` by so many decibels."""
    gain = louder * DECIBEL
    return torch.cat(
        [
            network((windows_at(clips, part) + gain).clamp(SILENT, LOUDEST))
            for part in np.array_split(rows, len(rows) // 512 + 1)
        ]
    )


@torch.no_grad()
def closure_recall(network: Audio2Lip, clips: Clips, apart: float = 0.06) -> float:
    """Return the share of p, b and m during whose hold the lips come nearer than `apart` (`visemes.aperture`)."""
    held = clips.shut.astype(np.float32) > 0.9
    begins = np.flatnonzero(held & ~np.concatenate([[False], held[:-1]]))
    ends = np.flatnonzero(held & ~np.concatenate([held[1:], [False]]))
    if not len(begins):
        return 1.0
    rows = np.flatnonzero(held)
    open_by = np.full(len(held), np.inf)
    open_by[rows] = aperture(_predict(network, clips, rows).numpy())
    return round(
        float(np.mean([open_by[a : b + 1].min() < apart for a, b in zip(begins, ends, strict=True)])), 3
    )


def _loudness(
    network: Audio2Lip, clips: Clips, rows: npt.NDArray[np.int64], predicted: Tensor
) -> dict[str, float]:
    spoken = ~clips.rest[rows]
    level = windows_at(clips, rows[spoken])[:, 0, :, _MIDDLE].mean(dim=(1, 2)).numpy()
    jaw, true = predicted.numpy()[spoken, 0], clips.weights[rows[spoken], 0].astype(np.float32)
    some = rows[spoken][::4]
    louder, softer = (_predict(network, clips, some, step)[:, 0].numpy() for step in (6.0, -6.0))
    values = {
        "predicted": _correlation(jaw, level),
        "true": _correlation(true, level),
        "opens": (louder - softer).mean() / (jaw.std() + 1e-6),
    }
    return {f"loudness/{name}": round(float(value), 3) for name, value in values.items()}


def _correlations(predicted: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> dict[str, float]:
    moving = [i for i in range(truth.shape[1]) if truth[:, i].std() > 0.01]
    values = {MOUTH_NAMES[i]: _correlation(predicted[:, i], truth[:, i]) for i in moving}
    return {name: round(value, 3) for name, value in values.items()} | {
        "mean": round(float(np.mean(list(values.values()))), 3)
    }


def _fresh() -> Audio2Lip:
    network = Audio2Lip(Audio2LipConfig(STARTER_WIDTHS, len(MOUTH_NAMES)))
    torch.nn.init.zeros_(network.mapping.bias)
    torch.nn.init.normal_(network.mapping.weight, std=0.005)  # begin at rest
    return network


def _started(bundle: str) -> Audio2Lip:
    """Return the audio part of a bundle; `EDTalkError(UNSUPPORTED)` where it has none with natural mouth weights."""
    network = bundles.load(bundle).audio_to_lip
    if not isinstance(network, Audio2Lip) or network.config.outputs != len(MOUTH_NAMES):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The bundle {bundle} has no audio part for the {len(MOUTH_NAMES)} mouth weights of synthetic speech.",
            "Start from the starter, or from nothing.",
        )
    return network.requires_grad_(requires_grad=True)


def _correlation(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Return the correlation; 0 where one of them never changes."""
    if not (first.std() and second.std()):
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


class SpeechTrainer(Trainer):
    """A run in a folder: `audio_to_lip.pt`, its metrics, and the result."""

    network: Audio2Lip
    decay = 0.998

    def __init__(self, folder: Path, config: TrainConfig, corpus: CorpusConfig) -> None:
        self.folder, self.plan = folder, config
        self.clips, self.held_out = build(folder / "corpus", corpus)
        torch.manual_seed(config.seed)
        network = _started(config.start) if config.start else _fresh()
        # twice as fast on a CPU, together with bfloat16 in the convolutions
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(folder / "audio_to_lip.pt", config, {"network": network.train()}, network)
        self.sampler = Sampler(self.clips)
        self.speech_loss = SpeechLoss(config, self.clips)
        self.resume()

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        plan = self.plan
        return {
            "optimizer": torch.optim.AdamW(
                self.parameters(), plan.learning_rate, weight_decay=plan.weight_decay
            )
        }

    def rate(self) -> float:
        return learning_rate(self.plan.learning_rate, self.state.step, self.done, warm_up=100, floor=3e-4)

    def loss(self) -> Outcome:
        rows, windows = self._draw(generator_of(self.plan.seed, self.batch_number))
        clips = self.clips
        target, shut, rest = (
            torch.from_numpy(part[rows].astype(np.float32))
            for part in (clips.weights, clips.shut, clips.rest)
        )
        with torch.autocast("cpu", torch.bfloat16):
            predicted = self.network(windows)
        return Outcome(self.speech_loss(predicted.float(), target, shut, rest), {}, samples=self.plan.batch)

    def _draw(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Tensor]:
        """Draw a batch: its rows and its windows."""
        rows = self.sampler.draw(rng, self.plan.batch, self.plan.pairs)
        count, pairs = self.plan.batch - self.plan.pairs, self.plan.pairs
        alike = Disturbance.draw(count).followed(pairs)
        windows = alike(with_throats(windows_at(self.clips, rows), draw_throats(count, pairs)))
        return rows, windows.contiguous(memory_format=torch.channels_last)

    def validate(self) -> dict[str, float]:
        return evaluate(self._settled(), self.held_out)

    def finish(self) -> None:
        """Export the trained network, and append its metrics to the log."""
        network = self._settled()
        enliven(network, self.clips, np.random.default_rng(self.plan.seed))
        MetricLogger(self.folder, self.path.stem, tensorboard=False).line(
            asdict(self.state), {"holdout": evaluate(network, self.held_out)}
        )
        export(network, self.folder)

    @torch.no_grad()
    def _settled(self) -> Audio2Lip:
        """Return the averaged network in evaluation mode, with batch statistics of many batches, not the last few."""
        network = cast(Audio2Lip, copy.deepcopy(self.average)).train()
        rng = np.random.default_rng(self.plan.seed)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None  # type: ignore[assignment]
        for _ in range(50):
            network(self._draw(rng)[1])
        return network.eval()


@torch.no_grad()
def enliven(network: Audio2Lip, clips: Clips, rng: np.random.Generator) -> None:
    """Scale each output so that it moves as much as the truth does (at most 1.4 times).

    Where the sound is ambiguous, the mean squared error favours small movements, and such lips look lazy. Silence stays
    at rest, because the output there is zero before and after.
    """
    rows = rng.choice(np.nonzero(~clips.rest)[0], 4096)
    predicted = torch.cat([network(windows_at(clips, part)) for part in np.array_split(rows, 16)]).numpy()
    truth = clips.weights[rows].astype(np.float32).std(axis=0)
    gain = np.where(truth > 0.01, np.clip(truth / (predicted.std(axis=0) + 1e-6), 1.0, 1.4), 1.0)
    factor = torch.from_numpy(gain.astype(np.float32))
    network.mapping.weight.mul_(factor[:, None])
    network.mapping.bias.mul_(factor)


def export(network: Audio2Lip, folder: Path) -> None:
    """Write `audio_to_lip.safetensors` (float16) and `audio_to_lip.json` (the part for a bundle's manifest)."""
    write_part(folder, "audio_to_lip", "audio2lip", network.config.to_dict(), network)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line of the module."""
    parser = argparse.ArgumentParser(description="Train the audio-to-lip network on synthetic speech.")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run; an unfinished one is continued"
    )
    parser.add_argument("--minutes", type=float, default=20.0, help="training time on one core (default 20)")
    parser.add_argument("--clips", type=float, default=1.0, help="amount of speech, 1 is about three hours")
    parser.add_argument(
        "--start", default="", help="bundle whose audio part is trained on (default: from nothing)"
    )
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    config = TrainConfig(minutes=arguments.minutes, start=arguments.start)
    trainer = SpeechTrainer(arguments.out, config, CorpusConfig().scaled(arguments.clips))
    if trainer.train():
        trainer.finish()


if __name__ == "__main__":
    main()
