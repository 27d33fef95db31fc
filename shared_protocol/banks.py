"""The channels of a performance: three banks, their slices, names and ranges.

EDTalk (ECCV 2024, section 3.1) drives a face with three orthogonal banks. A performance is a float32 array
[frames, channels]; the channels are in bank order: mouth, pose, expression. Sizes, names and ranges belong
to the model bundle and travel as a `BankLayout`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Bank(StrEnum):
    """One learned orthonormal set of directions."""

    MOUTH = "mouth"
    POSE = "pose"
    EXPRESSION = "expression"


LIDS = ("blink_left", "blink_right")
"""Identifiers of the bases that close the lids at their maximum."""
HEAD = ("pitch", "yaw", "roll")
"""Identifiers of the bases that turn the head; a weight of 1 is 20 degrees."""

NATURAL_POSE = (*HEAD, "shift_x", "shift_y", "scale")
"""The head's six natural movements, in this order: turns (1 is 20 degrees), then shifts and size (1 is a tenth of the
picture)."""


@dataclass(frozen=True)
class Basis:
    """One direction of a bank, as the animator sees it.

    `identifier` is a Python identifier, unique in the layout and stable between versions of a bundle
    (F-Curves refer to it); `name` is the label; `minimum` and `maximum` are the usual slider range (not a hard
    limit).
    """

    identifier: str
    name: str
    bank: Bank
    minimum: float = -1.0
    maximum: float = 1.0
    description: str = ""


@dataclass(frozen=True)
class BankLayout:
    """The ordered bases of a bundle: mouth first, then pose, then expression."""

    bases: tuple[Basis, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        order = [list(Bank).index(basis.bank) for basis in self.bases]
        if order != sorted(order):
            raise ValueError("bases must be in the order mouth, pose, expression")
        names = [basis.identifier for basis in self.bases]
        if len(set(names)) != len(names):
            raise ValueError("two bases have the same identifier")
        for name in names:
            if not name.isidentifier():
                raise ValueError(f"{name!r} is not an identifier")

    def __len__(self) -> int:
        return len(self.bases)

    def slice_of(self, bank: Bank) -> slice:
        """Return the channels of one bank in a row of weights."""
        indices = [i for i, basis in enumerate(self.bases) if basis.bank is bank]
        return slice(indices[0], indices[-1] + 1) if indices else slice(0, 0)

    def has(self, *identifiers: str) -> bool:
        """Return whether the layout has bases with all these identifiers."""
        return {basis.identifier for basis in self.bases}.issuperset(identifiers)

    def index(self, identifier: str) -> int:
        """Return the channel of a basis. Raises `KeyError`, which names the missing basis."""
        for i, basis in enumerate(self.bases):
            if basis.identifier == identifier:
                return i
        raise KeyError(f"no basis named {identifier!r} in this bundle")


def numbered_layout(mouth: int = 20, pose: int = 6, expression: int = 10) -> BankLayout:
    """Return a layout with numbered names, for checkpoints that do not name their directions (the official ones)."""
    sizes = {Bank.MOUTH: mouth, Bank.POSE: pose, Bank.EXPRESSION: expression}
    return BankLayout(
        tuple(
            Basis(f"{bank.value}_{i + 1:02d}", f"{bank.value.capitalize()} {i + 1}", bank, -6.0, 6.0)
            for bank, size in sizes.items()
            for i in range(size)
        )
    )
