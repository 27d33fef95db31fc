# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake frames, and look after takes."""

from __future__ import annotations

from ..room import Room
from . import (
    bake_operators,
    bake_panel,
    movie_operator,
    take_library,
    take_operators,
    takes_panel,
    timeline,
    watch,
    wipe,
    wipe_line,
)

ROOM = Room(
    classes=(
        *bake_operators.CLASSES,
        *take_operators.CLASSES,
        *movie_operator.CLASSES,
        *bake_panel.CLASSES,
        *takes_panel.CLASSES,
        *wipe.CLASSES,
        *wipe_line.CLASSES,
    ),
    modules=(
        watch,
        take_library,
        takes_panel,
        wipe,
        timeline,
    ),
)
