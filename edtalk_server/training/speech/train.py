"""Train Audio2Lip: `python -m edtalk_server.training.speech.train --out runs/audio --minutes 20`.

Paper section 3.4 regresses mouth weights from audio; here the truth comes with the synthetic speech. Loss: mean squared
error, 0.1 times that of the velocity, a hinge that shuts the lips in p, b and m, and rest in silence. One CPU core is
enough. The run saves itself every minute and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig
from edtalk_server.training.speech.corpus import WINDOW, Clips, CorpusConfig, Kind, build
from edtalk_server.training.speech.visemes import MOUTH_NAMES
from shared_protocol import atomic_write

log = logging.getLogger("edtalk.training.speech")

STARTER_WIDTHS = (16, 32, 64, 128, 256)
VELOCITY_STEP = 3
"""Mel columns between the two windows of a velocity: nearly one frame of 25 fps (3.2)."""
_SHARES = {Kind.ESPEAK: 0.22, Kind.FLITE: 0.7, Kind.SILENCE: 0.08}
"""Of each batch. flite's voices come from recordings of people, so they are nearer to real speech."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on besides the clock."""

    minutes: float = 20.0
    batch: int = 128
    pairs: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    velocity_weight: float = 0.1
    closure_weight: float = 1.0
    silence_weight: float = 2.0
    seed: int = 5


class Sampler:
    """Draws windows from the clips, some of them in neighbouring pairs."""

    def __init__(self, clips: Clips, rng: np.random.Generator) -> None:
        self.clips = clips
        self._rng = rng
        follows = clips.starts[VELOCITY_STEP:] - clips.starts[:-VELOCITY_STEP] == VELOCITY_STEP
        first = np.nonzero(follows)[0]
        pools = {kind: first[clips.kind[first] == kind] for kind in _SHARES}
        self._pools = [pool for pool in pools.values() if len(pool)]
        shares = np.array([_SHARES[kind] for kind, pool in pools.items() if len(pool)])
        self._shares = shares / shares.sum()

    def draw(self, count: int, pairs: int) -> npt.NDArray[np.int64]:
        """Row numbers [count]; the last `pairs` are `VELOCITY_STEP` columns behind the first `pairs`."""
        counts = self._rng.multinomial(count - pairs, self._shares)
        rows = np.concatenate(
            [self._rng.choice(pool, n) for pool, n in zip(self._pools, counts, strict=True)]
        )
        self._rng.shuffle(rows)
        return np.concatenate([rows, rows[:pairs] + VELOCITY_STEP])


def windows_at(clips: Clips, rows: npt.NDArray[np.int64]) -> Tensor:
    """Mel windows [len(rows), 1, 80, 16]."""
    columns = clips.starts[rows][:, None] + np.arange(WINDOW)
    return torch.from_numpy(clips.mel[:, columns].transpose(1, 0, 2).astype(np.float32))[:, None]


def disturb(windows: Tensor, pairs: int, generator: torch.Generator) -> Tensor:
    """Another loudness (12 dB), and now and then a band that the recording lost; alike for both windows of a pair."""
    count = len(windows) - pairs

    def drawn(low: float, high: float) -> Tensor:
        values = torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low
        return torch.cat([values, values[:pairs]])

    lowest, height = drawn(0, 80), drawn(-12, 12)
    band = torch.arange(80)[:, None]
    lost = (band >= lowest) & (band < lowest + height)
    return torch.where(lost, torch.full_like(windows, -4.0), windows + drawn(-0.96, 0.96)).clamp(-4.0, 4.0)


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
    """How far the lips are apart (`visemes.aperture`)."""
    return weights @ _APERTURE


@torch.no_grad()
def evaluate(network: Audio2Lip, clips: Clips) -> dict[str, dict[str, float]]:
    """Correlation of each moving channel with the truth, for each kind of held-out clip; and how still silence is."""
    rows = np.arange(0, len(clips.starts), VELOCITY_STEP)
    predicted = torch.cat(
        [network(windows_at(clips, part)) for part in np.array_split(rows, len(rows) // 512 + 1)]
    )
    result = {}
    for kind in Kind:
        chosen = clips.kind[rows] == kind
        if chosen.any():
            result[kind.name.lower()] = _correlations(
                predicted.numpy()[chosen], clips.weights[rows][chosen].astype(np.float32)
            )
    quiet = predicted.numpy()[clips.rest[rows]]
    result["rest"] = {"mean_size": float(np.abs(quiet).mean()), "jaw_open": float(quiet[:, 0].mean())}
    return result


def _correlations(predicted: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> dict[str, float]:
    moving = [i for i in range(truth.shape[1]) if truth[:, i].std() > 0.01]
    values = {MOUTH_NAMES[i]: float(np.corrcoef(predicted[:, i], truth[:, i])[0, 1]) for i in moving}
    return {name: round(value, 3) for name, value in values.items()} | {
        "mean": round(float(np.mean(list(values.values()))), 3)
    }


class Run:
    """A training run in a folder: state, log and the result."""

    def __init__(self, folder: Path, config: TrainConfig, corpus: CorpusConfig) -> None:
        self.folder, self.config = folder, config
        self.train, self.held_out = build(folder / "corpus", corpus)
        torch.manual_seed(config.seed)
        self.network = Audio2Lip(Audio2LipConfig(STARTER_WIDTHS, len(MOUTH_NAMES)))
        torch.nn.init.zeros_(self.network.mapping.bias)
        torch.nn.init.normal_(self.network.mapping.weight, std=0.005)  # begin at rest
        # Twice as fast on a CPU, together with bfloat16 in the convolutions.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        self.loss = SpeechLoss(config, self.train)
        self.elapsed, self.steps = 0.0, 0
        self._resume()

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.pt"

    def _resume(self) -> None:
        if not self._state_file.is_file():
            return
        state: dict[str, Any] = torch.load(self._state_file, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.elapsed, self.steps = state["elapsed"], state["steps"]
        log.info("going on after %.1f minutes, %d steps", self.elapsed / 60, self.steps)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "elapsed": self.elapsed,
            "steps": self.steps,
        }
        with atomic_write.replacing(self._state_file) as partial:
            torch.save(state, partial)

    def run(self) -> None:
        """Train until the minutes are spent (those before an interruption count), then export."""
        sampler = Sampler(self.train, np.random.default_rng([self.config.seed, self.steps]))
        generator = torch.Generator().manual_seed(self.config.seed + self.steps)
        total, saved, reported, loss = self.config.minutes * 60, self.elapsed, self.elapsed, math.nan
        self.network.train()
        while self.elapsed < total:
            began = time.monotonic()
            loss = self._step(sampler, generator, self.elapsed / total)
            self.elapsed += time.monotonic() - began
            self.steps += 1
            if self.elapsed - saved > 60:
                saved = self.elapsed
                self._save()
            if self.elapsed - reported > 120:
                reported = self.elapsed
                self._report(self._settled(sampler, generator), loss)
        self._save()
        finished = self._settled(sampler, generator)
        enliven(finished, self.train, np.random.default_rng(self.config.seed))
        self._report(finished, loss)
        export(finished, self.folder)

    def _step(self, sampler: Sampler, generator: torch.Generator, progress: float) -> float:
        rate = (
            self.config.learning_rate
            * min(1.0, (self.steps + 1) / 100)
            * 0.5
            * (1 + math.cos(math.pi * progress))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = max(rate, 1e-6)
        rows, windows = self._draw(sampler, generator)
        clips = sampler.clips
        target, shut, rest = (
            torch.from_numpy(part[rows].astype(np.float32))
            for part in (clips.weights, clips.shut, clips.rest)
        )
        with torch.autocast("cpu", torch.bfloat16):
            predicted = self.network(windows)
        loss = self.loss(predicted.float(), target, shut, rest)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _draw(self, sampler: Sampler, generator: torch.Generator) -> tuple[npt.NDArray[np.int64], Tensor]:
        """A batch: its rows and its windows."""
        rows = sampler.draw(self.config.batch, self.config.pairs)
        windows = disturb(windows_at(sampler.clips, rows), self.config.pairs, generator)
        return rows, windows.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def _settled(self, sampler: Sampler, generator: torch.Generator) -> Audio2Lip:
        """A copy in evaluation mode whose batch statistics are averaged over many batches, not over the last few."""
        network = copy.deepcopy(self.network).train()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        for _ in range(50):
            network(self._draw(sampler, generator)[1])
        return network.eval()

    def _report(self, network: Audio2Lip, loss: float) -> None:
        entry = {"minutes": round(self.elapsed / 60, 2), "steps": self.steps, "loss": round(loss, 4)}
        entry |= evaluate(network, self.held_out)  # type: ignore[arg-type]
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        log.info("%s", json.dumps(entry))


@torch.no_grad()
def enliven(network: Audio2Lip, clips: Clips, rng: np.random.Generator) -> None:
    """Scale each output so that it moves as much as the truth does (at most 1.4 times).

    A mean squared error is smallest for timid answers where the sound leaves doubt, and timid lips look lazy. Rest
    stays at rest, because an output there is zero before and after.
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
    tensors = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.eval().state_dict().items()
    }
    part = {"kind": "audio2lip", "config": network.config.to_dict(), "file": "audio_to_lip.safetensors"}
    with atomic_write.replacing(folder / "audio_to_lip.safetensors") as partial:
        save_file(tensors, partial)
    (folder / "audio_to_lip.json").write_text(json.dumps(part, indent=2) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line of the module."""
    parser = argparse.ArgumentParser(description="Train the audio-to-lip network on synthetic speech.")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run; an unfinished one is continued"
    )
    parser.add_argument("--minutes", type=float, default=20.0, help="training time on one core (default 20)")
    parser.add_argument("--clips", type=float, default=1.0, help="amount of speech, 1 is about three hours")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    Run(arguments.out, TrainConfig(minutes=arguments.minutes), CorpusConfig().scaled(arguments.clips)).run()


if __name__ == "__main__":
    main()
