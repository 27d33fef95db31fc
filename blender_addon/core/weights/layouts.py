# SPDX-License-Identifier: GPL-3.0-or-later
"""Mapping of a bundle's bases to the fixed channels of a character. No bpy here.

Paths of F-Curves and drivers must not depend on the bundle. So a character has fixed channels, `mouth_01` to
`mouth_20`, `pose_01` to `pose_06` and `expression_01` to `expression_10` (the bank sizes of the paper), and the n-th
basis of a bank uses its n-th channel. The bundle decides what people call a channel (`labels`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shared_protocol.banks import Bank, BankLayout, Basis
from shared_protocol.errors import EDTalkError, ErrorCode

from ..text.translate import iface_, n_, tip_

CHANNELS_OF = {Bank.MOUTH: 20, Bank.POSE: 6, Bank.EXPRESSION: 10}


def channel(bank: Bank, number: int) -> str:
    """Return the property of the n-th basis of a bank, counted from 1."""
    return f"{bank.value}_{number:02d}"


def channels(layout: BankLayout) -> list[str]:
    """Return the property of each basis of a layout, in the order of the weights.

    Raises `EDTalkError` when a bank has more bases than a character has channels.
    """
    names = []
    for bank, room in CHANNELS_OF.items():
        count = sum(basis.bank is bank for basis in layout.bases)
        if count > room:
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                f"The bundle has {count} {bank.value} weights; this add-on takes at most {room}.",
                "Use another bundle, or a newer version of the add-on.",
            )
        names += [channel(bank, i + 1) for i in range(count)]
    return names


@dataclass(frozen=True)
class Label:
    """What people see of a channel.

    `name` is as in the bundle, because Blender translates names itself; `description` is the tooltip in the user's
    language, without the last full stop, which Blender adds; `minimum` and `maximum` are the ends of the slider.
    """

    name: str
    description: str
    minimum: float
    maximum: float


def labels(layout: BankLayout) -> dict[str, Label]:
    """Return the label of each channel in a layout, including channels that it does not use.

    Raises `EDTalkError` when a bank has more bases than a character has channels.
    """
    known = dict(zip(channels(layout), layout.bases, strict=True))
    return {
        name: _label_of(known[name]) if name in known else _unused(bank, number)
        for bank, room in CHANNELS_OF.items()
        for number in range(1, room + 1)
        for name in (channel(bank, number),)
    }


def _label_of(basis: Basis) -> Label:
    low, high = basis.minimum, basis.maximum
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        low, high = -1.0, 1.0
    what = _printable(basis.description).rstrip(". ") or n_("The bundle does not tell what this moves")
    return Label(_printable(basis.name), f"{tip_(what)}. {_ends(low, high)}", low, high)


def _printable(text: str) -> str:
    """Return the text without characters that no name may hold: line ends, zeros, unpaired surrogates."""
    return "".join(letter for letter in text if letter.isprintable())


def _ends(low: float, high: float) -> str:
    """Explain the ends of a slider. A basis' description says only what the upper end does."""
    if low == 0.0:
        return tip_("Usual values: 0 (not at all) to {high} (fully)", high=f"{high:g}")
    if low < 0.0 < high:
        return tip_(
            "Usual values: {low} (the opposite) to {high}, 0 is neither", low=f"{low:g}", high=f"{high:g}"
        )
    return tip_("Usual values: {low} to {high}", low=f"{low:g}", high=f"{high:g}")


def _unused(bank: Bank, number: int) -> Label:
    return Label(
        iface_("{bank} {number} (not used)", bank=iface_(bank.value.capitalize()), number=number),
        tip_("The model bundle has no such weight: values and keys here change nothing"),
        -1.0,
        1.0,
    )


def language() -> tuple[str, str]:
    """Return texts that change when the language of `labels` does."""
    unused = _unused(Bank.MOUTH, 1)
    return unused.name, unused.description


def layout_from_rows(rows: Sequence[Mapping[str, Any]]) -> BankLayout:
    """Return the layout in a bundle's description (its list `bases`).

    Raises `EDTalkError` when the list holds no valid layout.
    """
    try:
        return BankLayout(
            tuple(
                Basis(
                    str(row["identifier"]),
                    str(row["name"]),
                    Bank(row["bank"]),
                    float(row.get("minimum", -1.0)),
                    float(row.get("maximum", 1.0)),
                    str(row.get("description", "")),
                )
                for row in rows
            )
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EDTalkError(
            ErrorCode.BUNDLE_INVALID,
            f"The server describes its bundle in a way that cannot be read ({error}).",
            "Install the server and the add-on in the same version.",
        ) from error


def layout_to_json(layout: BankLayout) -> str:
    """Return a layout as text, to keep in a .blend."""
    rows = [{**vars(basis), "bank": basis.bank.value} for basis in layout.bases]
    return json.dumps(rows, separators=(",", ":"))


@cache
def layout_from_json(text: str) -> BankLayout:
    """Return the layout in a text of `layout_to_json`; the starter bundle's for an empty or damaged text."""
    try:
        return layout_from_rows(json.loads(text))
    except (ValueError, EDTalkError):
        return starter_layout()


@cache
def starter_layout() -> BankLayout:
    """Return the layout of the bundle that ships with the server."""
    text = (Path(__file__).parent / "starter_layout.json").read_text("utf-8")
    return layout_from_rows(json.loads(text))
