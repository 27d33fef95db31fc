# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the weights when left and right change places. No bpy here.

A bundle says it by its identifiers. A pair (`blink_left`, `blink_right`) changes places. A direction whose opposite has
no name of its own (`jaw_left`, any `…_side`, a head's yaw, roll and shift to the side) changes its sign. All else
stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared_protocol.banks import Bank, BankLayout

_OPPOSITE = {"left": "right", "right": "left"}
_ODD_POSES = {"yaw", "roll", "shift_x"}


@dataclass(frozen=True)
class Mirror:
    """`order`: where each weight comes from; `sign`: -1 where it turns round; both [channels]."""

    order: npt.NDArray[np.intp]
    sign: npt.NDArray[np.float32]

    def apply(self, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Weights [..., channels] of the picture that is flipped horizontally."""
        return np.asarray(weights[..., self.order] * self.sign, np.float32)


def find_mirror(layout: BankLayout) -> Mirror | None:
    """Return the mirror of a bundle; None when its identifiers (numbered ones) do not tell left from right."""
    names = [basis.identifier for basis in layout.bases]
    order, sign = np.arange(len(names)), np.ones(len(names), np.float32)
    for i, basis in enumerate(layout.bases):
        twin = _twin(basis.identifier)
        if twin in names:
            order[i] = names.index(twin)
        elif twin or _is_odd(basis.identifier, basis.bank):
            sign[i] = -1
    changes = (order != np.arange(len(names))).any() or (sign < 0).any()
    return Mirror(order, sign) if changes else None


def _twin(identifier: str) -> str:
    """The same identifier for the other side; empty when it names no side."""
    words = identifier.split("_")
    swapped = [_OPPOSITE.get(word, word) for word in words]
    return "_".join(swapped) if swapped != words else ""


def _is_odd(identifier: str, bank: Bank) -> bool:
    return identifier.endswith("_side") or (bank is Bank.POSE and identifier in _ODD_POSES)
