"""How far single movements move a face, in pixels between landmarks of the network's own detector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.metrics.landmarks import MOVEMENTS, face_measures
from shared_protocol.banks import BankLayout


def motion_magnitude(
    model: ModelUnderTest, layout: BankLayout, photos: Iterable[Picture]
) -> dict[str, dict[str, float]]:
    """Return for each of `MOVEMENTS` its amount, the mean change over people in pixels (`measure_change`), and the
    share of people who move more than a pixel in the common direction (`visible_share`).

    Empty where the network has other bases or no landmark detector.
    """
    known = {basis.identifier for basis in layout.bases}
    if not model.finds_landmarks or not known.issuperset(movement.basis for movement in MOVEMENTS):
        return {}
    changes = np.array([_person(model, layout, photo) for photo in photos])
    out = {}
    for movement, values in zip(MOVEMENTS, changes.T, strict=True):
        sign = np.sign(np.median(values))
        out[f"{movement.basis}{movement.amount:+.1f}"] = {
            "amount": movement.amount,
            "measure_change": round(float(values.mean()), 2),
            "visible_share": round(float(np.mean(values * sign > 1.0)), 3),
        }
    return out


def _person(model: ModelUnderTest, layout: BankLayout, photo: Picture) -> list[float]:
    """Return the change of each movement's measure, in pixels."""
    rows = np.repeat(model.estimate(photo[None]), 1 + len(MOVEMENTS), axis=0)
    for row, movement in zip(rows[1:], MOVEMENTS, strict=True):
        row[layout.index(movement.basis)] += movement.amount
    points = model.landmarks(model.draw(model.prepare(photo), rows))
    rest, *moved = (face_measures(face, len(photo)) for face in points)
    return [after[m.measure] - rest[m.measure] for after, m in zip(moved, MOVEMENTS, strict=True)]
