# SPDX-License-Identifier: GPL-3.0-or-later
"""What all other rooms of the UI use: session and timer, long-running operators, live pictures, preferences."""

from __future__ import annotations

from ..room import Room
from . import face_pictures, live, preferences, runtime, task_operator

ROOM = Room(
    classes=(
        *preferences.CLASSES,
        task_operator.Cancel,
        task_operator.CarryOn,
    ),
    modules=(
        runtime,
        live,
        face_pictures,
    ),
)
