# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing emotions in brackets into a transcript, where a sentence begins. No bpy here.

Predictions tell the words that they heard, in order. A sentence is found by counting these words through the text as it
is written, past times, markup and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared_protocol import emotions

_HIDDEN = re.compile(
    r"\[[^\[\]]{1,80}\]|\([^()]{1,80}\)|</?[a-zA-Z0-9][^<>\n]*>|\{\\[^{}]*\}|^.*-->.*$|^\s*\d+\s*$",
    re.MULTILINE,
)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_TAG_BEFORE = re.compile(r"(?:\[([^\[\]]{1,80})\]|\(([^()]{1,80})\))\s*$")


def find_words(text: str, words: Sequence[str]) -> list[int | None]:
    """Return where each of some words stands in the text, in order; None for one that is not written so there."""
    plain = _HIDDEN.sub(lambda match: " " * len(match[0]), text)
    places: list[int | None] = []
    end = 0
    for word in words:
        found = _whole(word).search(plain, end)
        places.append(found.start() if found is not None else None)
        end = found.end() if found is not None else end
    return places


def _whole(word: str) -> re.Pattern[str]:
    """Return a pattern for a word that is no part of another one; scripts without spaces have no such borders."""
    escaped = re.escape(word)
    return re.compile(escaped if _UNSPACED.match(word) else rf"(?<!\w){escaped}(?!\w)")


def write_direction(text: str, at: int, direction: str) -> str:
    """Return the text with "[direction] " before the letter at `at`, in place of an emotion that stands there."""
    before, tag = text[:at], f"[{direction}] "
    match = _TAG_BEFORE.search(before)
    if match is not None and emotions.parse(match[1] or match[2]) is not None:
        before = before[: match.start()]
    return before + tag + text[at:]


def has_direction(text: str, at: int) -> bool:
    """Return whether an emotion in brackets stands before the letter at `at`."""
    match = _TAG_BEFORE.search(text[:at])
    return match is not None and emotions.parse(match[1] or match[2]) is not None
