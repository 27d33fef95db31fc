# SPDX-License-Identifier: GPL-3.0-or-later
"""Text over several lines, as wide as its letters are: Blender's layouts cut what is too long. No bpy here."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def wrap_text(text: str, room: float, width: Callable[[str], float]) -> list[str]:
    """Lines that are no wider than `room`, if a single letter is not. Words that are too wide by themselves are broken,
    as all is in languages that have no spaces."""
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
