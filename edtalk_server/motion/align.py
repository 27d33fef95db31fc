"""When each word of a transcript is spoken.

Three ways, the best first: the transcript's own times bound each line; a recogniser aligns English words to the sound
(`recognizer`, optional); otherwise words are spread over the voiced stretches (`word_guess`), in any language.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.media.steps import Checkpoint, unwatched
from edtalk_server.motion import recognizer, voiced, word_guess
from edtalk_server.motion.script_words import Boundary, Script, ScriptWord, Span, script
from shared_protocol.emotions import Cue
from shared_protocol.transcripts import Transcript

logger = logging.getLogger(__name__)


class Timing(StrEnum):
    """How a word got its time, the surest first."""

    RECOGNIZED = "recognized"
    """Aligned to the sound by the recogniser."""
    LINE = "line"
    """Spread within its line, whose time the transcript gives."""
    GUESSED = "guessed"
    """Spread over the voiced stretches of the voice, or in the pace of a steady speaker."""


@dataclass(frozen=True)
class Word:
    """A spoken word as written, with its punctuation; `start` and `end` in seconds of the voice; the `sounds` that were
    heard in it, where they were asked for and heard."""

    text: str
    start: float
    end: float
    timing: Timing
    sounds: tuple[recognizer.Sound, ...] = ()


@dataclass(frozen=True)
class Sentence:
    """A sentence: its words `first` to `last` - 1, its time in seconds, and the least sure timing among its words."""

    text: str
    first: int
    last: int
    start: float
    end: float
    timing: Timing


@dataclass(frozen=True)
class Alignment:
    """A transcript in time: words and sentences in order, the emotions in brackets with their seconds, and what a
    person should know."""

    words: tuple[Word, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    directions: tuple[Cue, ...] = ()
    notes: tuple[str, ...] = ()
    boundaries: tuple[Boundary, ...] = ()
    """What ends after each word."""


LONGEST_PIECE_S = 30.0
"""Most seconds that are aligned at once; a longer voice is cut at pauses."""
_CERTAIN_SHARE = 0.75
"""Of a piece that is not the last, only this share is kept: its text may go beyond its sound."""
_LONGEST_SENTENCE = 30
"""Words of a sentence without punctuation; after them it is cut."""
_MARGIN_S = 0.25
"""Seconds around a timed line that are listened to as well: subtitles are often a little early or late."""
_FEWEST_WORDS = 3
"""Words of a piece that is aligned by itself after a longer one failed."""
_FOREIGN_SHARE = 0.5
"""Share of words unknown to the English dictionary from which on a text is not taken for English."""


def align(
    transcript: Transcript,
    voice: Waveform | None,
    language: str = "",
    use_recognizer: bool = True,
    wants_sounds: bool = False,
    checkpoint: Checkpoint = unwatched,
) -> Alignment:
    """Return when each word is spoken.

    `voice` None: in the pace of a steady speaker from second 0. `language` is a code such as "en" or "de-AT" (""
    is taken for English where the dictionary knows most words); only English is recognised. Without pocketsphinx, or
    where it finds no way through, words are placed by guess; `notes` says so. `wants_sounds`: the words recognised get
    their sounds, which takes about as long again. `checkpoint` is called between pieces of
    work; an exception from it ends the work.
    """
    spoken = script(transcript)
    if not spoken.words:
        return Alignment(directions=_cues(spoken, []))
    spans, timings = _guess(spoken, voice)
    unknown, sounds = 0, {}
    if voice is not None and use_recognizer and recognizer.is_available() and _may_be_english(language):
        try:
            spelling = recognizer.spell([word.text for word in spoken.words])
            if language or len(spelling.unknown) < _FOREIGN_SHARE * len(spoken.words):
                unknown = len(spelling.unknown)
                aligner = _Aligner(spoken, voice, spelling.forms, spans, timings, checkpoint, wants_sounds)
                sounds = aligner.sounds
                aligner.run()
        except OSError as error:  # the rest stays where it was guessed
            logger.warning("words are placed by guess: %s", error)
    words = tuple(
        Word(word.text, start, end, timing, sounds.get(i, ()))
        for i, (word, (start, end), timing) in enumerate(
            zip(spoken.words, _in_order(spans), timings, strict=True)
        )
    )
    return Alignment(
        words,
        _sentences(words, spoken.words),
        _cues(spoken, words),
        _notes(words, unknown),
        tuple(word.boundary for word in spoken.words),
    )


def _may_be_english(language: str) -> bool:
    return language.lower()[:2] in ("", "en")


def _notes(words: Sequence[Word], unknown: int) -> tuple[str, ...]:
    notes = []
    guessed = sum(word.timing is Timing.GUESSED for word in words)
    if guessed == len(words):
        notes.append("Words placed by guess.")
    elif guessed:
        notes.append(f"{guessed} of {len(words)} words placed by guess.")
    if unknown:
        notes.append(f"{unknown} unknown words." if unknown > 1 else "1 unknown word.")
    return tuple(notes)


# --- without a recogniser --------------------------------------------------------------------------------------------


def _guess(spoken: Script, voice: Waveform | None) -> tuple[list[Span], list[Timing]]:
    """Return spans and timings: lines with times keep to them, runs of lines without lie between."""
    stretches = voiced.stretches(voice) if voice is not None else []
    length = float(voice.duration) if voice is not None else 0.0
    spans: list[Span] = []
    timings: list[Timing] = []
    runs = _runs(spoken)
    for i, (words, span) in enumerate(runs):
        if span is None:
            before = spans[-1][1] if spans else 0.0
            after = next((later for _, later in runs[i + 1 :] if later is not None), (length, length))[0]
            spans += _placed(words, stretches, (before, after) if voice is not None else None, before)
            timings += [Timing.GUESSED] * len(words)
        else:
            spans += _placed(words, stretches, span, span[0])
            timings += [Timing.LINE] * len(words)
    return spans, timings


def _runs(spoken: Script) -> list[tuple[list[ScriptWord], Span | None]]:
    """Return the words of each timed line, and of consecutive lines without times together."""
    runs: list[tuple[list[ScriptWord], Span | None]] = []
    line = -1
    for word in spoken.words:
        span = spoken.spans[word.line]
        if runs and (word.line == line or (span is None and runs[-1][1] is None)):
            runs[-1][0].append(word)
        else:
            runs.append(([word], span))
        line = word.line
    return runs


def _placed(words: list[ScriptWord], stretches: list[Span], span: Span | None, start: float) -> list[Span]:
    if span is None or span[1] <= span[0]:
        return word_guess.without_voice(words, start)
    return word_guess.spread(words, voiced.within(stretches, span) or [span])


def _in_order(spans: Sequence[Span]) -> list[Span]:
    """Return spans whose starts never fall; each ends by the next start."""
    starts: list[float] = []
    for start, _ in spans:
        starts.append(max(start, starts[-1]) if starts else max(start, 0.0))
    following = [*starts[1:], float("inf")]
    return [
        (start, max(start, min(end, after)))
        for start, (_, end), after in zip(starts, spans, following, strict=True)
    ]


# --- with a recogniser -----------------------------------------------------------------------------------------------


@dataclass
class _Aligner:
    """Replaces guessed spans by recognised ones where the recogniser finds the text in the sound."""

    spoken: Script
    voice: Waveform
    forms: Sequence[Sequence[str]]
    spans: list[Span]
    timings: list[Timing]
    checkpoint: Checkpoint
    wants_sounds: bool = False
    sounds: dict[int, tuple[recognizer.Sound, ...]] = field(default_factory=dict)
    """Of the words by their number."""

    def run(self) -> None:
        """Align each timed line in its own time, and the others from pause to pause."""
        first = 0
        for words, span in _runs(self.spoken):
            last = first + len(words)
            limits = self._limits(first, last, span)
            if span is None or span[1] - span[0] > LONGEST_PIECE_S:
                self._in_pieces(first, last, limits)
            else:
                self._piece(first, last, limits)
            first = last

    def _limits(self, first: int, last: int, span: Span | None) -> Span:
        """Return the time in which words are listened for: around their line, or between their neighbours."""
        length = float(self.voice.duration)
        if span is not None:
            return max(span[0] - _MARGIN_S, 0.0), min(span[1] + _MARGIN_S, length)
        before = self.spans[first - 1][1] if first else 0.0
        after = self.spans[last][0] if last < len(self.spans) else length
        return before, after

    def _piece(self, first: int, last: int, limits: Span) -> bool:
        """Align words within a time, where that fails in halves; return whether any were found."""
        self.checkpoint(int(limits[0]), int(self.voice.duration), "placing the words")
        begin, end = (round(limit * SAMPLE_RATE) for limit in limits)
        found = recognizer.align(self.voice.samples[begin:end], self.forms[first:last], self.wants_sounds)
        if found is None:
            return self._halves(first, last, limits)
        self.spans[first:last] = [(start + limits[0], stop + limits[0]) for start, stop in found.spans]
        self._keep_sounds(first, last, limits[0], found.sounds)
        self.timings[first:last] = [Timing.RECOGNIZED] * (last - first)
        return True

    def _keep_sounds(self, first: int, last: int, begin: float, heard: Sequence[recognizer.Sound]) -> None:
        """Give the sounds of a piece that begins at second `begin` to the words in whose spans their middles lie."""
        sounds = [recognizer.Sound(one.name, one.start + begin, one.end + begin) for one in heard]
        for word in range(first, last):
            start, end = self.spans[word]
            self.sounds[word] = tuple(one for one in sounds if start <= (one.start + one.end) / 2 < end)

    def _halves(self, first: int, last: int, limits: Span) -> bool:
        """Align words before and after the longest guessed pause among them, where that is worth a try."""
        third = (last - first) // 3
        gaps = [(self.spans[i][0] - self.spans[i - 1][1], i) for i in range(first + third, last - third)]
        pause, middle = max(gaps, default=(0.0, first))
        if pause < voiced.SHORTEST_PAUSE or middle - first < _FEWEST_WORDS or last - middle < _FEWEST_WORDS:
            return False
        cut = (self.spans[middle][0] + self.spans[middle - 1][1]) / 2
        if not limits[0] < cut < limits[1]:
            return False
        halves = self._piece(first, middle, (limits[0], cut)), self._piece(middle, last, (cut, limits[1]))
        return any(halves)

    def _in_pieces(self, first: int, last: int, limits: Span) -> None:
        """Align a long run piece by piece. Where a piece ends in the text is a guess, so its last quarter is aligned
        again with the next one."""
        begin, drift = limits[0], 0.0
        guesses = list(self.spans)
        while first < last:
            if limits[1] - begin <= LONGEST_PIECE_S * 1.2:
                self._piece(first, last, (begin, limits[1]))
                return
            stop, end = self._cut(first, last, begin, guesses, drift)
            if self._piece(first, stop, (begin, end)):
                kept = self._certain(first, stop)
                self.spans[kept:stop] = guesses[kept:stop]
                self.timings[kept:stop] = [Timing.GUESSED] * (stop - kept)
                for word in range(kept, stop):
                    self.sounds.pop(word, None)
                drift = self.spans[kept - 1][1] - guesses[kept - 1][1]
                first, begin = kept, self.spans[kept - 1][1]
            else:
                first, begin, drift = stop, end, 0.0

    def _cut(
        self, first: int, last: int, begin: float, guesses: list[Span], drift: float
    ) -> tuple[int, float]:
        """Return the first word after a piece and the piece's end: the longest guessed pause in its last half."""
        stop = first + 1
        while stop < last and guesses[stop][1] + drift < begin + LONGEST_PIECE_S:
            stop += 1
        middle = first + (stop - first) // 2
        gaps = [
            (guesses[i][0] - guesses[i - 1][1], i) for i in range(max(middle, first + 1), min(stop + 1, last))
        ]
        stop = max(gaps)[1] if gaps else stop
        following = guesses[stop][0] if stop < last else guesses[stop - 1][1]
        end = (guesses[stop - 1][1] + following) / 2 + drift
        return stop, max(end, begin + 1.0)

    def _certain(self, first: int, stop: int) -> int:
        """Return up to which word a piece is kept: its longest gap after half of what is certain."""
        limit = first + max(round((stop - first) * _CERTAIN_SHARE), 1)
        lowest = first + max((stop - first) // 3, 1)
        gaps = [(self.spans[i][0] - self.spans[i - 1][1], i) for i in range(lowest, limit + 1) if i < stop]
        return max(gaps)[1] if gaps else limit


# --- sentences and directions ----------------------------------------------------------------------------------------


def _sentences(words: Sequence[Word], written: Sequence[ScriptWord]) -> tuple[Sentence, ...]:
    edges = [0]
    for i, word in enumerate(written):
        length = i + 1 - edges[-1]
        is_too_long = length >= _LONGEST_SENTENCE and word.boundary is not Boundary.NONE
        if word.boundary is Boundary.SENTENCE or is_too_long or length >= 2 * _LONGEST_SENTENCE:
            edges.append(i + 1)
    if edges[-1] < len(words):
        edges.append(len(words))
    return tuple(sentence(words, first, last) for first, last in pairwise(edges))


def sentence(words: Sequence[Word], first: int, last: int) -> Sentence:
    """Return the words `first` to `last` - 1 as a sentence."""
    part = words[first:last]
    surest_last = list(Timing)
    return Sentence(
        " ".join(word.text for word in part),
        first,
        last,
        part[0].start,
        part[-1].end,
        max((word.timing for word in part), key=surest_last.index),
    )


def _cues(spoken: Script, words: Sequence[Word]) -> tuple[Cue, ...]:
    """Return the emotions in brackets, each from the start of the word after it on."""
    cues = [
        Cue(word.start, written.direction)
        for written, word in zip(spoken.words, words, strict=True)
        if written.direction is not None
    ]
    if spoken.last_direction is not None:
        cues.append(Cue(words[-1].end if words else 0.0, spoken.last_direction))
    return tuple(cues)
