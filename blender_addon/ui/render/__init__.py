# SPDX-License-Identifier: GPL-3.0-or-later
"""Final renders show baked frames."""

from __future__ import annotations

from ..room import Room
from . import render_handlers, render_operators, render_wait

ROOM = Room(
    classes=(
        *render_operators.CLASSES,
        *render_wait.CLASSES,
    ),
    modules=(
        render_operators,
        render_handlers,
    ),
)
