"""The usual values of each weight, and how well a bundle estimates and renders it (`bundles.manifest.Statistic`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.bundles import Bundle
from edtalk_server.bundles.manifest import Statistic
from edtalk_server.evaluation.evaluate import is_controlled
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import coarse
from edtalk_server.evaluation.people.holdout import Person
from edtalk_server.synthetic.data.statistics import Rows, of_rows, of_shards


def measure(bundle: Bundle, people: Sequence[Person], data: Path | None = None) -> dict[str, Statistic]:
    """Return a bundle's statistics.

    Usual values come from the shards in `data`, else from these people: their true weights where the bundle uses the
    renderer's controls, else estimates. How well weights are estimated and rendered needs true weights.
    """
    model, layout = ModelUnderTest(bundle.face), bundle.layout
    true = is_controlled(layout)
    estimated = np.concatenate([model.estimate(person.clip.frames) for person in people])
    if not true:
        return of_rows(estimated, layout)
    weights = np.concatenate([person.clip.weights for person in people if person.clip.weights is not None])
    usual = (of_shards(data, layout) if data else {}) or of_rows(weights, layout)
    how_estimated, how_rendered = (
        explained_variance(estimated, weights),
        render_correlation(model, people, len(layout)),
    )
    return {
        name: replace(statistic, read=_rounded(how_estimated[i]), drawn=_rounded(how_rendered[i]))
        for i, (name, statistic) in enumerate(usual.items())
    }


def explained_variance(estimated: Rows, true: Rows) -> npt.NDArray[np.float64]:
    """Return 1 − (squared error) / (variance) for each column of [N, C]; nan where nothing varies."""
    error = np.square(estimated - true).mean(0).astype(np.float64)
    variance = true.astype(np.float64).var(0)
    return np.asarray(1 - np.divide(error, variance, out=np.full(len(error), np.nan), where=variance > 0))


def render_correlation(
    model: ModelUnderTest, people: Sequence[Person], channels: int
) -> npt.NDArray[np.float64]:
    """Return for each channel the correlation of rendered and true changes of pictures under perturbations: their
    cosine over pictures of 64 pixels, all people together; nan for channels that no perturbation moves."""
    sums = np.zeros((3, channels))
    for person in people:
        if person.perturbed is None or person.clip.weights is None:
            continue
        first = person.clip.frames[0]
        steps = person.perturbed.weights - person.clip.weights[0]
        pictures = model.draw(model.prepare(first), model.estimate(first[None]) + steps)
        for step, drawn, true in zip(steps, coarse(pictures), coarse(person.perturbed.frames), strict=True):
            a, b = (picture - coarse(first[None])[0] for picture in (drawn, true))
            sums[:, int(np.abs(step).argmax())] += (a * b).sum(), (a * a).sum(), (b * b).sum()
    both = np.sqrt(sums[1] * sums[2])
    return np.asarray(np.divide(sums[0], both, out=np.full(channels, np.nan), where=both > 0))


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3) + 0.0
