# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights on the face itself: handles over the picture in the 3D view, to drag with the mouse."""

from __future__ import annotations

from ..room import Room
from . import drag_operator, face_controls

ROOM = Room(
    classes=(
        *drag_operator.CLASSES,
        *face_controls.CLASSES,
    ),
    modules=(face_controls,),
)
