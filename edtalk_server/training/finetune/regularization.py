"""What fine-tuning must not change: how the network moves other people. They are a few portraits, varied by colour,
framing and mirroring; the truth about them is the network as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edtalk_server.engine import Engine
from edtalk_server.engine.tensors import to_tensor
from edtalk_server.media.faces.portrait import cut, load_portrait
from edtalk_server.training.datasets.interface import Random
from edtalk_server.training.finetune.data import FilmData
from edtalk_server.training.starter import augment
from shared_protocol.banks import BankLayout

_SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.png"
_MOVED_SLIDERS = 5
"""Weights that a random movement changes, on average."""
_CROP_ERROR = 0.25
"""How far crops go astray, as a share of `augment.reframed`'s."""


class OtherPeople:
    """Portraits of other people, and movements for them."""

    def __init__(self, engine: Engine, portraits: Sequence[Path], device: torch.device) -> None:
        """Load the portraits; the one that ships with the program is always among them."""
        images = [load_portrait(path) for path in (_SAMPLE, *portraits)]
        cuts = [cut(image, engine.prepare(image).crop, engine.size) for image in images]
        self._pictures = to_tensor(np.stack(cuts)).to(device)
        self._layout = engine.bundle.layout

    def sources(self, rng: Random, count: int) -> Tensor:
        """Return pictures [count, 3, S, S] in [-1, 1]. Also takes random numbers from torch's generator."""
        chosen = self._pictures[rng.integers(len(self._pictures), size=count)]
        mirrored = torch.from_numpy(rng.random(count) < 0.5).to(chosen.device)[:, None, None, None]
        views = torch.where(mirrored, chosen.flip(-1), chosen) * 0.5 + 0.5
        no_landmarks = torch.full((count, 68, 2), 0.5, device=views.device)
        views, _ = augment.reframed(views, no_landmarks, _CROP_ERROR)
        (views,) = augment.recolour(views)
        return views * 2 - 1

    def changes(self, rng: Random, count: int, film: FilmData) -> Tensor:
        """Return changes of weights [count, channels]: half of them from the film, half with a few weights anywhere
        between their ends."""
        filmed = film.changes(rng, count)
        moved = torch.from_numpy(_random_weights(self._layout, rng, count)).to(filmed.device)
        from_film = torch.from_numpy(rng.random(count) < 0.5).to(filmed.device)[:, None]
        return torch.where(from_film, filmed, moved)


def _random_weights(layout: BankLayout, rng: Random, count: int) -> np.ndarray:
    low = np.array([basis.minimum for basis in layout.bases])
    high = np.array([basis.maximum for basis in layout.bases])
    rows = rng.uniform(low, high, (count, len(low)))
    return (rows * (rng.random(rows.shape) < _MOVED_SLIDERS / len(low))).astype(np.float32)
