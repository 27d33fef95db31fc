"""Train Audio2Lip: `python -m edtalk_server.training.speech.train --out runs/audio --minutes 20`.

Paper section 3.4 regresses mouth weights from audio; here the truth comes with the synthetic speech. Loss: mean squared
error, 0.1 times that of the velocity, a hinge that shuts the lips in p, b and m, and rest in silence. One CPU core is
enough. The run saves itself every minute and goes on where it stopped.
"""

from __future__ import annotations

import argparse
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
from edtalk_server.training.speech.corpus import WINDOW, Clips, CorpusConfig, build
from edtalk_server.training.speech.visemes import MOUTH_NAMES

log = logging.getLogger("edtalk.training.speech")

STARTER_WIDTHS = (8, 24, 64, 128, 256)
VELOCITY_STEP = 3
"""Mel columns between the two windows of a velocity: nearly one frame of 25 fps (3.2)."""
_SHARES = (0.42, 0.5, 0.08)
"""Of each batch: espeak, flite, silence."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on besides the clock."""

    minutes: float = 20.0
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    velocity_weight: float = 0.1
    closure_weight: float = 1.0
    silence_weight: float = 2.0
    seed: int = 5


class Sampler:
    """Draws pairs of neighbouring windows from the clips."""

    def __init__(self, clips: Clips, rng: np.random.Generator) -> None:
        self.clips = clips
        self._rng = rng
        follows = clips.starts[VELOCITY_STEP:] - clips.starts[:-VELOCITY_STEP] == VELOCITY_STEP
        first = np.nonzero(follows)[0]
        by_kind = [first[clips.kind[first] == kind] for kind in range(len(_SHARES))]
        self._pools = [pool for pool in by_kind if len(pool)]
        shares = np.array([s for s, pool in zip(_SHARES, by_kind, strict=True) if len(pool)])
        self._shares = shares / shares.sum()

    def draw(self, count: int) -> npt.NDArray[np.int64]:
        """Row numbers [2 * count]: `count` windows, then those `VELOCITY_STEP` columns later."""
        counts = self._rng.multinomial(count, self._shares)
        rows = np.concatenate(
            [self._rng.choice(pool, n) for pool, n in zip(self._pools, counts, strict=True)]
        )
        return np.concatenate([rows, rows + VELOCITY_STEP])


def windows_at(clips: Clips, rows: npt.NDArray[np.int64]) -> Tensor:
    """Mel windows [len(rows), 1, 80, 16]."""
    columns = clips.starts[rows][:, None] + np.arange(WINDOW)
    return torch.from_numpy(clips.mel[:, columns].transpose(1, 0, 2).astype(np.float32))[:, None]


def disturb(windows: Tensor, generator: torch.Generator) -> Tensor:
    """Another loudness (12 dB) and a band that the recording lost, alike for both windows of a pair."""
    half = len(windows) // 2
    gain = (torch.rand(half, 1, 1, 1, generator=generator) * 2 - 1) * 0.96
    windows = windows + gain.repeat(2, 1, 1, 1)
    lowest = torch.randint(0, 80, (half, 1), generator=generator)
    height = torch.randint(0, 14, (half, 1), generator=generator)
    band = torch.arange(80)[None]
    lost = ((band >= lowest) & (band < lowest + height)).repeat(2, 1)[:, None, :, None]
    return torch.where(lost, torch.full_like(windows, -4.0), windows).clamp(-4.0, 4.0)


class SpeechLoss:
    """The loss described at the top. `scale` [20] makes the channels comparable."""

    def __init__(self, config: TrainConfig, clips: Clips) -> None:
        self.config = config
        self._scale = torch.from_numpy(clips.weights.astype(np.float32).std(axis=0)) + 0.06

    def __call__(self, predicted: Tensor, target: Tensor, shut: Tensor, rest: Tensor) -> Tensor:
        error = (predicted - target) / self._scale
        weight = 1.0 + self.config.silence_weight * rest[:, None]
        half = len(error) // 2
        velocity = error[half:] - error[:half]
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
    network.eval()
    rows = np.arange(0, len(clips.starts), VELOCITY_STEP)
    predicted = torch.cat(
        [network(windows_at(clips, part)) for part in np.array_split(rows, len(rows) // 512 + 1)]
    )
    network.train()
    result = {}
    for kind, name in ((0, "espeak"), (1, "flite")):
        chosen = clips.kind[rows] == kind
        if chosen.any():
            result[name] = _correlations(
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
        partial = self._state_file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._state_file)

    def run(self) -> None:
        """Train until the minutes are spent (those before an interruption count), then export."""
        sampler = Sampler(self.train, np.random.default_rng([self.config.seed, self.steps]))
        generator = torch.Generator().manual_seed(self.config.seed + self.steps)
        total, saved, reported = self.config.minutes * 60, self.elapsed, self.elapsed
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
                self._report(loss)
        self._save()
        self._report(loss if self.steps else math.nan)
        export(self.network, self.folder)

    def _step(self, sampler: Sampler, generator: torch.Generator, progress: float) -> float:
        rate = (
            self.config.learning_rate
            * min(1.0, (self.steps + 1) / 100)
            * 0.5
            * (1 + math.cos(math.pi * progress))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = max(rate, 1e-6)
        rows = sampler.draw(self.config.batch)
        clips = sampler.clips
        target, shut, rest = (
            torch.from_numpy(part[rows].astype(np.float32))
            for part in (clips.weights, clips.shut, clips.rest)
        )
        loss = self.loss(self.network(disturb(windows_at(clips, rows), generator)), target, shut, rest)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _report(self, loss: float) -> None:
        entry = {"minutes": round(self.elapsed / 60, 2), "steps": self.steps, "loss": round(loss, 4)}
        entry |= evaluate(self.network, self.held_out)  # type: ignore[arg-type]
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        log.info("%s", json.dumps(entry))


def export(network: Audio2Lip, folder: Path) -> None:
    """Write `audio_to_lip.safetensors` (float16) and `audio_to_lip.json` (the part for a bundle's manifest)."""
    tensors = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.eval().state_dict().items()
    }
    part = {"kind": "audio2lip", "config": network.config.to_dict(), "file": "audio_to_lip.safetensors"}
    partial = folder / "audio_to_lip.partial"
    save_file(tensors, partial)
    partial.replace(folder / "audio_to_lip.safetensors")
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
