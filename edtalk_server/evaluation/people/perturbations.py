"""Which single weights are moved, and how far, to see what a bank does and what it should leave alone.

A move takes one weight by 0.6 of its larger limit (12 degrees of pitch, 18 of yaw; a mouth three fifths open), up or
down, and stays within the slider's range. Each person has twelve moves; over three people every weight has its turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared_protocol.banks import BankLayout, Basis

FloatArray = npt.NDArray[np.float32]

MOVES_PER_PERSON = 12
AMOUNT = 0.6
_STRIDES = (7, 11, 13, 17, 1)
"""Neighbouring moves are this many channels apart, so that even one person's fall into all banks."""


@dataclass(frozen=True)
class Move:
    """A channel and its new value."""

    channel: int
    value: float


def chosen_moves(layout: BankLayout, own: FloatArray, person: int) -> list[Move]:
    """The moves of the person of this number, whose own weights are `own` [C]."""
    channels = len(layout)
    stride = next(one for one in _STRIDES if math.gcd(one, channels) == 1)
    moves = []
    for turn in range(person * MOVES_PER_PERSON, (person + 1) * MOVES_PER_PERSON):
        channel = turn * stride % channels
        upwards = turn // channels % 2 == 0
        moves.append(Move(channel, moved_value(layout.bases[channel], float(own[channel]), upwards)))
    return moves


def moved_value(basis: Basis, own: float, upwards: bool) -> float:
    """`own` moved by 0.6 of the larger limit: in the wished direction if there is room, else where there is more."""
    amount = AMOUNT * max(abs(basis.minimum), abs(basis.maximum))
    above, below = basis.maximum - own, own - basis.minimum
    if (above if upwards else below) < amount and above != below:
        upwards = above > below
    return own + min(amount, max(above, 0.0)) if upwards else own - min(amount, max(below, 0.0))


def moved_rows(own: FloatArray, moves: list[Move]) -> FloatArray:
    """`own` [C] under each of the moves, [M, C]."""
    rows = np.repeat(own[None], len(moves), axis=0)
    for row, move in zip(rows, moves, strict=True):
        row[move.channel] = move.value
    return np.asarray(rows, np.float32)
