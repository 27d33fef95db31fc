"""How far weights that follow a film may go."""

from __future__ import annotations

import numpy as np

from edtalk_server.arrays import Doubles
from shared_protocol.banks import BankLayout

PLACE = ("shift_x", "shift_y", "scale")
"""Bases that say where the head is in the crop (docs/bundles.md)."""
_FURTHER = 2.0
"""How many times its usual range the head's place may fill: cameras and heads of films move further than a slider, and
networks draw that, because the whole head moves alike."""


def reach_of(layout: BankLayout) -> tuple[Doubles, Doubles]:
    """Return the lowest and the highest weight of each basis [channels]: its range, wider for the head's place."""
    further = np.array([_FURTHER if basis.identifier in PLACE else 1.0 for basis in layout.bases])
    lowest = np.array([basis.minimum for basis in layout.bases])
    highest = np.array([basis.maximum for basis in layout.bases])
    return lowest * further, highest * further
