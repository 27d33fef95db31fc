"""One bundle judged on people: all measures together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from edtalk_server.bundles import Bundle
from edtalk_server.evaluation.measures.disentanglement import Disentanglement
from edtalk_server.evaluation.measures.model_under_test import Judge
from edtalk_server.evaluation.measures.motion_magnitude import effects
from edtalk_server.evaluation.measures.reenactment import Means, Measures, Reenactment
from edtalk_server.evaluation.people.holdout import FloatArray, Person
from edtalk_server.evaluation.report import Report
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.banks import BankLayout

_SMALLEST_DEVIATION = 1e-3


def judged(
    bundle: Bundle,
    people: Sequence[Person],
    about: Mapping[str, Any],
    measures: Measures | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Report:
    """Judge `bundle` on people whose pictures have its size. `progress` hears how many people are done."""
    judge = Judge(bundle.face)
    controlled = is_controlled(bundle.layout)
    reenactment = Reenactment(judge, bundle.layout, controlled, measures or Measures.own())
    matrix = Disentanglement(judge, bundle.layout, deviations(bundle, judge, people), controlled)
    means, moved = Means(), set()
    for number, person in enumerate(people):
        means.add(reenactment.rows(person))
        if person.clip.identity not in moved or not person.clip.identity:
            matrix.add(person, number)
            moved.add(person.clip.identity)
        progress(number + 1)
    photo = people[0].clip.frames[0]
    speed = {"fps": judge.frames_per_second(photo)}
    said = {
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
        "digest": bundle.digest,
        "threads": torch.get_num_threads(),
        "clips": len(people),
        **about,
    }
    return Report(
        about=said,
        values={**means.values(), **reenactment.distribution(), **matrix.numbers(), **speed},
        matrices=matrix.matrices(),
        effects=effects(judge, bundle.layout, [person.clip.frames[0] for person in people]),
    )


def is_controlled(layout: BankLayout) -> bool:
    """Are these the renderer's own controls, so that its true weights mean something to the network?"""
    return [basis.identifier for basis in layout.bases] == [
        basis.identifier for basis in STARTER_LAYOUT.bases
    ]


def deviations(bundle: Bundle, judge: Judge, people: Sequence[Person]) -> FloatArray:
    """The standard deviation of each weight [C]: as the bundle says, else over what is read from these people."""
    noted = bundle.manifest.statistics
    names = [basis.identifier for basis in bundle.layout.bases]
    if all(name in noted for name in names):
        found = np.array([noted[name].deviation for name in names])
    else:
        found = np.concatenate([judge.read(person.clip.frames) for person in people]).std(0)
    return np.maximum(found, _SMALLEST_DEVIATION).astype(np.float32)
