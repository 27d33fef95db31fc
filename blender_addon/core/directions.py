# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing emotions in brackets into a transcript, where a sentence begins. No bpy here.

Predictions tell the words that they heard, in order. A sentence is found by counting these words through the text as it
is written, past times, markup and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Sentence:
    """A sentence: its `first` word, how many `words` it has, and what is felt in it, as it is written in brackets."""

    first: int
    words: int
    felt: str


@dataclass(frozen=True)
class Insertion:
    """An emotion to write before the letter `at`."""

    at: int
    felt: str


def fix(
    text: str, words: Sequence[str], sentences: Sequence[Sentence], number: int, felt: str
) -> list[Insertion] | None:
    """Return what to write so that a sentence is `felt` and no other changes; None where its words are not in the text.

    A direction holds until the next one, so those that follow get what they had, up to one that is written already.
    """
    places, fixed = find_words(text, words), sentences[number]
    if None in places[fixed.first : fixed.first + fixed.words] or len(places) < fixed.first + fixed.words:
        return None
    written, before = [Insertion(places[fixed.first] or 0, felt)], felt
    for sentence in sentences[number + 1 :]:
        at = places[sentence.first]
        if at is None or has_direction(text, at):
            break
        if sentence.felt != before:
            written.append(Insertion(at, sentence.felt))
        before = sentence.felt
    return written


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
