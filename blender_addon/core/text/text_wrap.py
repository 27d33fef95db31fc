# SPDX-License-Identifier: GPL-3.0-or-later
"""Text over several lines, by the width of its letters: Blender's layouts cut what is too long. No bpy here."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def wrap_text(text: str, room: float, width: Callable[[str], float]) -> list[str]:
    """Break text into lines no wider than `room`. Words that are too wide are broken too, as in languages without
    spaces; a line has at least one letter."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer) <= room:
            lines[-1] = longer
        else:
            lines.extend(_broken(word, room, width))
    return lines


def _broken(word: str, room: float, width: Callable[[str], float]) -> Iterator[str]:
    """A word in parts that fit."""
    while width(word) > room and len(word) > 1:
        most = next(
            count for count in range(len(word) - 1, 0, -1) if count == 1 or width(word[:count]) <= room
        )
        yield word[:most]
        word = word[most:]
    yield word
