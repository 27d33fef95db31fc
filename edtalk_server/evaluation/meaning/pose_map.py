"""How the pose weights of a bundle answer natural movements of the head (`BundleManifest.pose_map`).

A bundle whose pose weights have no names (the official release, one trained on film) is shown rendered people whose
poses are known. What its own motion encoder estimates in them is a linear function of the pose: its slopes are the map.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edtalk_server.bundles import Bundle
from edtalk_server.bundles.manifest import PoseMap
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.people.holdout import FloatArray, Person
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.banks import HEAD, NATURAL_POSE, Bank

_DIGITS = 4


def measure(bundle: Bundle, people: Sequence[Person]) -> PoseMap | None:
    """Return the map of a bundle whose pose weights are not named, from people whose true weights are known.

    None for a bundle with named pose weights, which needs no map, and where no truth is known.
    """
    known = [person for person in people if person.clip.weights is not None]
    if bundle.layout.has(*HEAD) or not known:
        return bundle.manifest.pose_map
    model, pose = ModelUnderTest(bundle.face), bundle.layout.slice_of(Bank.POSE)
    estimated = [model.estimate(person.clip.frames)[:, pose] for person in known]
    true = [natural_pose(person.clip.weights) for person in known if person.clip.weights is not None]
    slopes = fit(estimated, true)
    return tuple(tuple(round(float(factor), _DIGITS) + 0.0 for factor in row) for row in slopes)


def natural_pose(weights: FloatArray) -> FloatArray:
    """Return the natural movements [T, 6] among the renderer's controls [T, C]."""
    return np.asarray(weights[:, [STARTER_LAYOUT.index(name) for name in NATURAL_POSE]], np.float32)


def fit(estimated: Sequence[FloatArray], true: Sequence[FloatArray]) -> FloatArray:
    """Return the least-squares slopes [P, 6] of estimates [T, P] on true movements [T, 6], within each clip.

    Each clip has its own level, because who it is and how it was cropped shift estimates.
    """
    moves = np.concatenate([rows - rows.mean(axis=0) for rows in true]).astype(np.float64)
    answers = np.concatenate([rows - rows.mean(axis=0) for rows in estimated]).astype(np.float64)
    return np.asarray(np.linalg.lstsq(moves, answers, rcond=1e-6)[0].T, np.float32)
