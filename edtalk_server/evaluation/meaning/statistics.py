"""What is usual for each weight, and how well a bundle reads and draws it (`bundles.manifest.Statistic`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.bundles import Bundle
from edtalk_server.bundles.manifest import Statistic
from edtalk_server.evaluation.evaluate import is_controlled
from edtalk_server.evaluation.measures.model_under_test import Judge
from edtalk_server.evaluation.metrics.image_distance import coarse
from edtalk_server.evaluation.people.holdout import Person
from edtalk_server.synthetic.data.statistics import Rows, of_rows, of_shards


def measured(bundle: Bundle, people: Sequence[Person], data: Path | None = None) -> dict[str, Statistic]:
    """A bundle's statistics. What is usual comes from the shards in `data`, else from these people: their true weights
    where they are the bundle's own, else what is read. Reading and drawing need true weights."""
    judge, layout = Judge(bundle.face), bundle.layout
    true = is_controlled(layout)
    read = np.concatenate([judge.read(person.clip.frames) for person in people])
    if not true:
        return of_rows(read, layout)
    weights = np.concatenate([person.clip.weights for person in people if person.clip.weights is not None])
    usual = (of_shards(data, layout) if data else {}) or of_rows(weights, layout)
    how_read, how_drawn = explained(read, weights), drawn_likeness(judge, people, len(layout))
    return {
        name: replace(one, read=_rounded(how_read[i]), drawn=_rounded(how_drawn[i]))
        for i, (name, one) in enumerate(usual.items())
    }


def explained(read: Rows, true: Rows) -> npt.NDArray[np.float64]:
    """1 − (squared error) / (variance), for each column of [N, C]; nan where nothing varies."""
    error = np.square(read - true).mean(0).astype(np.float64)
    variance = true.astype(np.float64).var(0)
    return np.asarray(1 - np.divide(error, variance, out=np.full(len(error), np.nan), where=variance > 0))


def drawn_likeness(judge: Judge, people: Sequence[Person], channels: int) -> npt.NDArray[np.float64]:
    """For each channel: how the changes of pictures that drawn moves make correlate with those of true moves (their
    cosine over the pixels of pictures of 64, all people together); nan for channels that nobody moves."""
    sums = np.zeros((3, channels))
    for person in people:
        if person.moves is None or person.clip.weights is None:
            continue
        first = person.clip.frames[0]
        steps = person.moves.weights - person.clip.weights[0]
        made = judge.draw(judge.source(first), judge.read(first[None]) + steps)
        for step, drawn, true in zip(steps, coarse(made), coarse(person.moves.frames), strict=True):
            a, b = (picture - coarse(first[None])[0] for picture in (drawn, true))
            sums[:, int(np.abs(step).argmax())] += (a * b).sum(), (a * a).sum(), (b * b).sum()
    both = np.sqrt(sums[1] * sums[2])
    return np.asarray(np.divide(sums[0], both, out=np.full(channels, np.nan), where=both > 0))


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3) + 0.0
