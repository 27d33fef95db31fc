# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses as assets and as files."""

from __future__ import annotations

from ..room import Room
from . import asset_operators, file_operators

ROOM = Room(
    classes=(
        *asset_operators.CLASSES,
        *file_operators.CLASSES,
    ),
    modules=(asset_operators,),
)
