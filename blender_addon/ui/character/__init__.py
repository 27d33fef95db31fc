# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a character from a portrait, and work on the portrait."""

from __future__ import annotations

from ..room import Room
from . import (
    appending,
    character_panel,
    create,
    crop_view,
    further_pictures,
    overlay,
    portrait_operators,
    portrait_panel,
    view_character,
)

ROOM = Room(
    classes=(
        *create.CLASSES,
        *view_character.CLASSES,
        *portrait_operators.CLASSES,
        *crop_view.CLASSES,
        *character_panel.CLASSES,
        *portrait_panel.CLASSES,
        *further_pictures.CLASSES,
    ),
    modules=(
        create,
        appending,
        overlay,
    ),
)
