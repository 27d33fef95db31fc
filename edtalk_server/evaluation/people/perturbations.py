"""Perturbations: single weights that are changed to see what a bank does and what it should leave alone.

A perturbation moves one weight by 0.6 of its larger limit (12 degrees of pitch, 18 of yaw; a mouth three fifths open),
up or down within the slider's range. Each person has twelve of them, so that three people cover every weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared_protocol.banks import BankLayout, Basis

FloatArray = npt.NDArray[np.float32]

PERTURBATIONS_PER_PERSON = 12
AMOUNT = 0.6
"""In parts of the larger limit of a weight."""
_STRIDES = (7, 11, 13, 17, 1)
"""Channels between two perturbations (the first number coprime to the bundle's channels), so that each person covers
all banks."""


@dataclass(frozen=True)
class Perturbation:
    """A channel and its new value."""

    channel: int
    value: float


def choose_perturbations(layout: BankLayout, own: FloatArray, person: int) -> list[Perturbation]:
    """Return the perturbations of the `person`th person, whose own weights are `own` [C]."""
    channels = len(layout)
    stride = next(number for number in _STRIDES if math.gcd(number, channels) == 1)
    perturbations = []
    for turn in range(person * PERTURBATIONS_PER_PERSON, (person + 1) * PERTURBATIONS_PER_PERSON):
        channel = turn * stride % channels
        upwards = turn // channels % 2 == 0
        perturbations.append(
            Perturbation(channel, perturbed_value(layout.bases[channel], float(own[channel]), upwards))
        )
    return perturbations


def perturbed_value(basis: Basis, own: float, upwards: bool) -> float:
    """Return `own` moved by 0.6 of the larger limit: in the wanted direction, or the roomier one."""
    amount = AMOUNT * max(abs(basis.minimum), abs(basis.maximum))
    above, below = basis.maximum - own, own - basis.minimum
    if (above if upwards else below) < amount and above != below:
        upwards = above > below
    return own + min(amount, max(above, 0.0)) if upwards else own - min(amount, max(below, 0.0))


def perturbed_rows(own: FloatArray, perturbations: list[Perturbation]) -> FloatArray:
    """Return `own` [C] under each perturbation, [M, C]."""
    rows = np.repeat(own[None], len(perturbations), axis=0)
    for row, perturbation in zip(rows, perturbations, strict=True):
        row[perturbation.channel] = perturbation.value
    return np.asarray(rows, np.float32)
