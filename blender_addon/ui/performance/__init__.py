# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances from a voice, a transcript or a video."""

from __future__ import annotations

from ..room import Room
from . import (
    capture_operator,
    choose_voice,
    import_operator,
    predict_operator,
    retime_operator,
    sentences,
    transcript_emotions,
    voice_panel,
)

ROOM = Room(
    classes=(
        *choose_voice.CLASSES,
        *predict_operator.CLASSES,
        *retime_operator.CLASSES,
        *capture_operator.CLASSES,
        *import_operator.CLASSES,
        *transcript_emotions.CLASSES,
        *voice_panel.CLASSES,
        *sentences.CLASSES,
    )
)
