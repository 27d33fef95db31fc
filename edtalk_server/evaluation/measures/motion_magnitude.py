"""What single movements do to a face, in pixels between the landmarks that the network's own reader finds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edtalk_server.evaluation.measures.model_under_test import Judge
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.metrics.landmarks import EFFECTS, measures
from shared_protocol.banks import BankLayout


def effects(judge: Judge, layout: BankLayout, photos: Iterable[Picture]) -> dict[str, dict[str, float]]:
    """For each of `EFFECTS`: the mean change over people, and the share of people who move more than a pixel the way
    most do. Empty where the network has other bases or finds no landmarks."""
    known = {basis.identifier for basis in layout.bases}
    if not judge.finds_landmarks or not known.issuperset(effect.basis for effect in EFFECTS):
        return {}
    changes = np.array([_person(judge, layout, photo) for photo in photos])
    out = {}
    for effect, values in zip(EFFECTS, changes.T, strict=True):
        sign = np.sign(np.median(values))
        out[f"{effect.basis}{effect.amount:+.1f}"] = {
            "amount": effect.amount,
            "measure_change": round(float(values.mean()), 2),
            "visible_share": round(float(np.mean(values * sign > 1.0)), 3),
        }
    return out


def _person(judge: Judge, layout: BankLayout, photo: Picture) -> list[float]:
    """The change of each effect's measure."""
    rows = np.repeat(judge.read(photo[None]), 1 + len(EFFECTS), axis=0)
    for row, effect in zip(rows[1:], EFFECTS, strict=True):
        row[layout.index(effect.basis)] += effect.amount
    points = judge.points(judge.draw(judge.source(photo), rows))
    rest, *moved = (measures(one, len(photo)) for one in points)
    return [found[e.measure] - rest[e.measure] for found, e in zip(moved, EFFECTS, strict=True)]
