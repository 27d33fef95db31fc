"""Evaluate one bundle on people: all measures together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from edtalk_server.bundles import Bundle
from edtalk_server.evaluation.measures.close_up import close_up
from edtalk_server.evaluation.measures.disentanglement import Disentanglement
from edtalk_server.evaluation.measures.judges import NO_JUDGES, Judges
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.measures.motion_magnitude import motion_magnitude
from edtalk_server.evaluation.measures.reenactment import MetricSet, Reenactment, RunningMeans
from edtalk_server.evaluation.people.holdout import FloatArray, Person
from edtalk_server.evaluation.report import Report
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.banks import BankLayout

_SMALLEST_DEVIATION = 1e-3
"""In weight units: a weight that hardly varies is not divided by less."""


def evaluate(
    bundle: Bundle,
    people: Sequence[Person],
    about: Mapping[str, Any],
    metrics: MetricSet | None = None,
    on_progress: Callable[[int], None] = lambda _done: None,
    judges: Judges = NO_JUDGES,
) -> Report:
    """Evaluate `bundle` on people whose pictures have its size. `about` joins the report; `on_progress` receives the
    number of people that are done; `judges` look at people with a voice or a known emotion."""
    model = ModelUnderTest(bundle.face)
    controlled = is_controlled(bundle.layout)
    metric_set, speaker = metrics or MetricSet.built_in(), bundle.audio_to_lip
    reenactment = Reenactment(model, bundle.layout, controlled, metric_set, speaker, judges)
    matrix = Disentanglement(model, bundle.layout, deviations(bundle, model, people), controlled)
    means, perturbed = RunningMeans(), set()
    for number, person in enumerate(people):
        means.add(reenactment.rows(person))
        means.add([close_up(model, bundle.layout, person.clip.frames[0])])
        if person.clip.identity not in perturbed or not person.clip.identity:
            matrix.add(person, number)
            perturbed.add(person.clip.identity)
        on_progress(number + 1)
    photo, fine = people[0].clip.frames[0], people[0].clip.fine
    speed = {"fps": model.frames_per_second(photo)}
    if fine is not None:
        speed["fine_fps"] = model.frames_per_second(photo, fine[0])
    details = {
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
        "digest": bundle.digest,
        "threads": torch.get_num_threads(),
        "clips": len(people),
        **about,
    }
    return Report(
        about=details,
        values={**means.values(), **reenactment.distribution(), **matrix.numbers(), **speed},
        matrices=matrix.matrices(),
        motion=motion_magnitude(model, bundle.layout, [person.clip.frames[0] for person in people]),
    )


def is_controlled(layout: BankLayout) -> bool:
    """Return whether these are the renderer's own controls, so that its true weights can drive the network."""
    return [basis.identifier for basis in layout.bases] == [
        basis.identifier for basis in STARTER_LAYOUT.bases
    ]


def deviations(bundle: Bundle, model: ModelUnderTest, people: Sequence[Person]) -> FloatArray:
    """Return the standard deviation of each weight [C]: as noted in the bundle, else over estimates from these
    people."""
    noted = bundle.manifest.statistics
    names = [basis.identifier for basis in bundle.layout.bases]
    if all(name in noted for name in names):
        result = np.array([noted[name].deviation for name in names])
    else:
        result = np.concatenate([model.estimate(person.clip.frames) for person in people]).std(0)
    return np.maximum(result, _SMALLEST_DEVIATION).astype(np.float32)
