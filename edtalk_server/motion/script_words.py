"""The words of a transcript: what is spoken, how long it is, and what stands between the words.

Works for any language that writes vowels: syllables are counted by groups of vowel letters, one for each Chinese or
Japanese character and each Korean block.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from shared_protocol.transcripts import Felt, Line, Spoken, Transcript, letters

Span = tuple[float, float]
"""Start and end, in seconds of the voice."""


class Boundary(IntEnum):
    """What ends after a word: nothing, a clause, or a sentence."""

    NONE = 0
    CLAUSE = 1
    SENTENCE = 2


@dataclass(frozen=True)
class ScriptWord:
    """A word as written, with its punctuation. `units` is its expected length, about 1 for a syllable; `direction`
    holds the emotions in brackets before it (None: no bracket); `line` is the number of its line."""

    text: str
    units: float
    boundary: Boundary
    line: int
    direction: Felt | None = None


@dataclass(frozen=True)
class Script:
    """The spoken words of a transcript in order, the span of each line (None: unknown), and the emotions in brackets
    after the last word (None: no bracket)."""

    words: tuple[ScriptWord, ...]
    spans: tuple[Span | None, ...]
    last_direction: Felt | None = None


_VOWELS = frozenset("aeiouyæœøåаеёиоуыэюяіїєαεηιουω")
_SILENT_E = re.compile(r"[^aeiouyl]e(?:d|s)?$")
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr st vs etc prof sr jr no capt lt sgt col gen rev hon e.g i.e a.m p.m bzw usw z.b".split()  # noqa: SIM905
)
_UNSPOKEN = re.compile(r"\[[^\[\]]*\]|\((?:[^\s()]+\s?){1,4}\)|[♪♫]")
_SPEAKER = re.compile(r"^\s*(?:[-–—]\s*)?[A-ZÄÖÜ][A-ZÄÖÜ0-9 .'’_-]{1,30}:\s")
_ENDS_SENTENCE = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*$")
_ENDS_CLAUSE = re.compile(r"[,;:、，；：–—-]+[\"'”’»)\]]*$")


def script(transcript: Transcript) -> Script:
    """Return the spoken words. Stage directions ("[door opens]", "(laughs)") and speakers' names ("ANNA: ...") are not
    spoken; a new row without punctuation before it is a clause's end."""
    words: list[ScriptWord] = []
    spans: list[Span | None] = []
    pending: Felt | None = None
    for line in transcript.lines:
        for row in _rows(line):
            found, pending = _words_of(row, len(spans), pending)
            words += found
        spans.append(line.span)
    return Script(tuple(words), tuple(spans), pending)


def _rows(line: Line) -> list[str]:
    """Return the rows of a plain text; text with a time is one row, however it is broken."""
    return [line.text] if line.span is not None else [row for row in line.text.splitlines() if row.strip()]


def _words_of(row: str, number: int, pending: Felt | None) -> tuple[list[ScriptWord], Felt | None]:
    """Return the words of a row, and the direction that no word follows."""
    speech, directions = Spoken.of(_SPEAKER.sub("", row, count=1))
    tokens = list(_tokens(speech))
    words: list[ScriptWord] = []
    queue = list(directions)
    for i, (text, before) in enumerate(tokens):
        while queue and queue[0][0] <= before:
            pending = queue.pop(0)[1]
        following = tokens[i + 1][0] if i + 1 < len(tokens) else ""
        words.append(ScriptWord(text, word_units(text), _boundary(text, following), number, pending))
        pending = None
    return words, queue[-1][1] if queue else pending


def _tokens(speech: str) -> Iterator[tuple[str, int]]:
    """Yield each spoken word with the number of letters before it; lone punctuation joins the word before it."""
    hidden = _UNSPOKEN.sub(lambda match: "\0" * len(match[0]), speech)
    found: list[tuple[str, int]] = []
    for match in re.finditer(r"[^\s\0]+", hidden):
        for piece in re.finditer(
            r"[\u3040-\u30ff\u4e00-\u9fff][^\w\s]*|[^\u3040-\u30ff\u4e00-\u9fff]+", match[0]
        ):
            start = match.start() + piece.start()
            if any(map(str.isalnum, piece[0])):
                found.append((piece[0], letters(speech[:start])))
            elif found:
                found[-1] = (f"{found[-1][0]} {piece[0]}", found[-1][1])
    yield from found


def _boundary(text: str, following: str) -> Boundary:
    if not following:
        return Boundary.SENTENCE if _ENDS_SENTENCE.search(text) else Boundary.CLAUSE
    if _ENDS_SENTENCE.search(text):
        bare = text.strip("\"'“”‘’().").lower()
        continues = following[0].islower() or (text.endswith(".") and bare in _ABBREVIATIONS)
        if not continues:
            return Boundary.SENTENCE
        return Boundary.NONE if bare in _ABBREVIATIONS else Boundary.CLAUSE
    return Boundary.CLAUSE if _ENDS_CLAUSE.search(text) else Boundary.NONE


def syllables(word: str) -> int:
    """Return about how many syllables a word has, at least 1; digits count as they are read."""
    plain = unicodedata.normalize("NFD", word.lower())
    count, in_vowels = 0, False
    for letter in plain:
        if unicodedata.combining(letter):
            continue
        is_block = "\uac00" <= letter <= "\ud7a3" or "\u3040" <= letter <= "\u9fff"
        is_vowel = letter in _VOWELS
        count += 2 if letter.isdigit() else int(is_block or (is_vowel and not in_vowels))
        in_vowels = is_vowel
    bare = "".join(filter(str.isalpha, plain))
    if count > 1 and _SILENT_E.search(bare) and not bare.endswith(("ted", "ded", "ses", "zes", "ces", "ges")):
        count -= 1
    return max(count, 1)


def word_units(word: str) -> float:
    """Return the expected length of a word: syllables, and the consonants between them.

    The factors are a least-squares fit to synthetic English speech; only their ratio matters.
    """
    consonants = sum(letter.isalpha() and letter not in _VOWELS for letter in word.lower())
    return 0.12 + 0.55 * syllables(word) + 0.17 * consonants
