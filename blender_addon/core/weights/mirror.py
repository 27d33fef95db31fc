# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirroring weights: exchanging left and right. No bpy here.

The bundle's identifiers say how. A pair (`blink_left`, `blink_right`) swaps values. A sideways direction without a
partner (`jaw_left`, any `…_side`, a head's yaw, roll and sideways shift) changes its sign. All other weights stay.
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
    """Mirroring of weights. `order`: where each weight comes from; `sign`: -1 where it is negated; both [channels]."""

    order: npt.NDArray[np.intp]
    sign: npt.NDArray[np.float32]

    def apply(self, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the weights [..., channels] of the horizontally flipped picture."""
        return np.asarray(weights[..., self.order] * self.sign, np.float32)


def find_mirror(layout: BankLayout) -> Mirror | None:
    """Return the mirror of a bundle; None when its identifiers (numbers, say) do not tell left from right."""
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
    """Return the same identifier for the other side; empty when it names no side."""
    words = identifier.split("_")
    swapped = [_OPPOSITE.get(word, word) for word in words]
    return "_".join(swapped) if swapped != words else ""


def _is_odd(identifier: str, bank: Bank) -> bool:
    return identifier.endswith("_side") or (bank is Bank.POSE and identifier in _ODD_POSES)
