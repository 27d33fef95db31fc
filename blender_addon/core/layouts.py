# SPDX-License-Identifier: GPL-3.0-or-later
"""Bases of a bundle on the fixed channels of a character. No bpy here.

Blender's properties are declared once, before any bundle is known. So a character has fixed channels, `mouth_01` to
`mouth_20`, `pose_01` to `pose_06` and `expression_01` to `expression_10` (the bank sizes of the paper), and the n-th
basis of a bank lives on its n-th channel. The channels are labelled with the starter bundle's names and ranges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from shared_protocol.banks import Bank, BankLayout, Basis
from shared_protocol.errors import EDTalkError, ErrorCode

CHANNELS_OF = {Bank.MOUTH: 20, Bank.POSE: 6, Bank.EXPRESSION: 10}


def channel(bank: Bank, number: int) -> str:
    """The property of the n-th basis of a bank, counted from 1."""
    return f"{bank.value}_{number:02d}"


def channels(layout: BankLayout) -> list[str]:
    """The property of each basis of a layout, in the order of the weights.

    Raises `EDTalkError` when a bank is larger than what characters have channels for.
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


def layout_from_rows(rows: Sequence[Mapping[str, Any]]) -> BankLayout:
    """The layout in a bundle's description (its list `bases`).

    Raises `EDTalkError` when it is not one.
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
    """A layout as text, for keeping it in a .blend."""
    rows = [{**vars(basis), "bank": basis.bank.value} for basis in layout.bases]
    return json.dumps(rows, separators=(",", ":"))


@cache
def layout_from_json(text: str) -> BankLayout:
    """The layout in a text of `layout_to_json`; the starter bundle's for an empty or damaged one."""
    try:
        return layout_from_rows(json.loads(text))
    except (ValueError, EDTalkError):
        return starter_layout()


@cache
def starter_layout() -> BankLayout:
    """The bases of the bundle that ships with the server."""
    text = (Path(__file__).parent / "starter_layout.json").read_text("utf-8")
    return layout_from_rows(json.loads(text))
