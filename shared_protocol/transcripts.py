"""Reading transcripts: plain text, SubRip (.srt) or WebVTT (.vtt), with emotions in brackets.

"[happy 0.7]" and "(sad)" are directions, not speech: they are removed from the text and become emotion cues. The share
of letters before a cue gives its time: within its line in text with times, within the whole voice in plain text. Other
words in brackets stay as they are.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import NamedTuple

from . import emotions
from .errors import EDTalkError, ErrorCode

Felt = tuple[tuple[str, float], ...]
"""Emotions with their intensities, 0 to 1."""
Span = tuple[float, float]
"""Start and end, in seconds."""
MAX_BYTES = 128 * 1024
"""Maximum bytes of a transcript, about two hours of speech; it must fit in a header (`codec.MAX_HEADER_BYTES`)."""
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-+>\s*{_TIME}(?:\s.*)?")
_MARKUP = re.compile(r"</?[a-zA-Z0-9][^<>]*>|\{\\[^{}]*\}")
_TAG = re.compile(r"\s*(?:\[([^\[\]]{1,80})\]|\(([^()]{1,80})\))\s*")
_EXAMPLE = '"00:00:01,000 --> 00:00:02,500"'
_ASIDE = ("NOTE", "STYLE", "REGION")
_NO_SPACE_BEFORE = ",.;:!?…"


@dataclass(frozen=True)
class Line:
    """A text as written, without markup, and when it is spoken (None: unknown)."""

    text: str
    span: Span | None = None


class Spoken(NamedTuple):
    """The spoken text of a line, and the emotions in it, each with the number of letters (all but spaces) before it."""

    speech: str
    directions: list[tuple[int, Felt]]

    @classmethod
    def of(cls, text: str) -> Spoken:
        """Take the emotions out of a text."""
        speech, directions, end = "", [], 0
        for match, felt in _tags(text):
            speech += text[end : match.start()]
            end = match.end()
            if speech and text[end : end + 1] not in {"", *_NO_SPACE_BEFORE}:
                speech += " "
            directions.append((letters(speech), felt))
        return cls(" ".join((speech + text[end:]).split()), directions)


@dataclass(frozen=True)
class Transcript:
    """Lines in the order in which they are spoken."""

    lines: tuple[Line, ...] = ()

    @property
    def is_timed(self) -> bool:
        """Whether any line has a time."""
        return any(line.span is not None for line in self.lines)

    @cached_property
    def parts(self) -> list[Spoken]:
        """What each line says, apart from the emotions in it."""
        return [Spoken.of(line.text) for line in self.lines]

    @cached_property
    def speech(self) -> str:
        """The spoken text, one row for each line, without the emotions."""
        return "\n".join(filter(None, (speech for speech, _ in self.parts)))

    @cached_property
    def words(self) -> int:
        """Number of spoken words."""
        return len(self.speech.split())

    @cached_property
    def directions(self) -> int:
        """Number of emotion cues in the text."""
        return sum(len(tags) for _, tags in self.parts)

    def feelings(self, whole: Span) -> list[emotions.Cue]:
        """Return the emotion cues with their seconds; a line without a time is spread evenly over `whole`."""
        cues = []
        for line, (speech, tags) in zip(self.lines, self.parts, strict=True):
            start, end = line.span or whole
            count = max(letters(speech), 1)
            cues += [emotions.Cue(start + (end - start) * at / count, felt) for at, felt in tags]
        return cues


def parse(text: str, name: str = "") -> Transcript:
    """Parse a transcript. The format follows from the suffix of `name` (.srt, .vtt), else from the text itself.

    Raises `EDTalkError`, which names the line that cannot be understood, and for text that is too long.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise _error(
            f"The transcript is longer than {MAX_BYTES // 1024} kB.", "Cut it to what this voice says."
        )
    rows = text.lstrip("\ufeff").splitlines()
    suffix = PurePath(name).suffix.lower()
    if suffix == ".vtt" or (rows and rows[0].startswith("WEBVTT")):
        return Transcript(tuple(_cues(_without_asides(rows), is_vtt=True)))
    if suffix == ".srt" or any(map(_TIMING.fullmatch, rows)):
        return Transcript(tuple(_cues(rows, is_vtt=False)))
    plain = "\n".join(rows).strip()
    return Transcript((Line(plain),) if plain else ())


def decode(data: bytes) -> str:
    """Decode a file: Unicode with or without a byte order mark, or Western European from old subtitle programs.

    Raises `EDTalkError` when the file is not text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if b"\0" in data:
        raise _error("The transcript is no text file.", "Choose a .txt, .srt or .vtt file.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


# --- text with times -------------------------------------------------------------------------------------------------


def _without_asides(rows: Sequence[str]) -> list[str]:
    """Replace WebVTT's header, notes, styles and regions by empty rows, so that row numbers stay."""
    output, skipping = [], True
    for i, row in enumerate(rows):
        begins = i > 0 and not rows[i - 1].strip()
        word = row.split(maxsplit=1)[0] if row.strip() else ""
        if "-->" in row or not word:
            skipping = False
        elif begins:
            skipping = word in _ASIDE
        output.append("" if skipping else row)
    return output


def _cues(rows: Sequence[str], *, is_vtt: bool) -> list[Line]:
    """Return the lines sorted by time. Blank rows may be missing between cues, or occur within one."""
    starts = [i for i, row in enumerate(rows) if "-->" in row or _TIMING.fullmatch(row)]
    if not starts:
        if any(row.strip() for row in rows):
            raise _error("The transcript holds no times.", f"Write them as {_EXAMPLE}.")
        return []
    ends = [_end_of_text(rows, start, is_vtt) for start in [*starts[1:], len(rows)]]
    first = _end_of_text(rows, starts[0], is_vtt)
    stray = next((i for i, row in enumerate(rows[:first]) if row.strip()), None)
    if stray is not None:
        raise _error(
            f"Line {stray + 1} of the transcript stands before any time.", "Give it a time, or remove it."
        )
    lines = [
        Line(_plain(rows[start + 1 : end]), _span(rows[start], start + 1))
        for start, end in zip(starts, ends, strict=True)
    ]
    return sorted((line for line in lines if line.text), key=lambda line: line.span or (0.0, 0.0))


def _end_of_text(rows: Sequence[str], timing: int, is_vtt: bool) -> int:
    """Return where the text before a cue's timing ends, without its number or (WebVTT, after a blank row) its name."""
    if timing in (0, len(rows)):
        return timing
    is_first = timing == 1 or not rows[timing - 2].strip()
    is_label = rows[timing - 1].strip().isdecimal() or (is_vtt and is_first)
    return timing - 1 if is_label else timing


def _span(row: str, number: int) -> Span:
    match = _TIMING.fullmatch(row)
    if match is None:
        raise _error(
            f'Line {number} of the transcript is no time: "{row.strip()[:60]}".',
            f"Write it as {_EXAMPLE}.",
        )
    parts = match.groups()
    start, end = _seconds(parts[:4], number), _seconds(parts[4:], number)
    if end < start:
        raise _error(f"Line {number} of the transcript ends before it begins.", "Correct its two times.")
    return start, end


def _seconds(parts: Sequence[str | None], number: int) -> float:
    hours, minutes, seconds = (int(part or 0) for part in parts[:3])
    if minutes > 59 or seconds > 59:
        raise _error(
            f"Line {number} of the transcript has a time with more than 59 minutes or seconds.",
            "Correct it; hours stand before minutes.",
        )
    milliseconds = int((parts[3] or "0").ljust(3, "0"))
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _plain(rows: Sequence[str]) -> str:
    """Return the text of a cue, without markup."""
    return html.unescape(_MARKUP.sub("", " ".join(" ".join(rows).split()))).strip()


# --- emotions --------------------------------------------------------------------------------------------------------


def _tags(text: str) -> Iterator[tuple[re.Match[str], Felt]]:
    for match in _TAG.finditer(text):
        felt = emotions.parse(match[1] or match[2])
        if felt is not None:
            yield match, felt


def letters(text: str) -> int:
    """Return how many characters of a text are no space."""
    return sum(not letter.isspace() for letter in text)


def _error(cause: str, fix: str) -> EDTalkError:
    return EDTalkError(ErrorCode.UNSUPPORTED, cause, fix)
