# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights: sliders, keys, layers and emotions."""

from __future__ import annotations

from ..room import Room
from . import (
    emotion_markers,
    emotion_panel,
    layer_operators,
    strength,
    weight_names,
    weight_operators,
    weights_panel,
)

ROOM = Room(
    classes=(
        *layer_operators.CLASSES,
        *weight_operators.CLASSES,
        *strength.CLASSES,
        *emotion_markers.CLASSES,
        *weights_panel.CLASSES,
        *emotion_panel.CLASSES,
    ),
    modules=(weight_names,),
)
