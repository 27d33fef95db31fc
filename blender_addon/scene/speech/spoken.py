# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last prediction heard: words and sentences at frames, kept on the character, and marks of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Sentence

from ...core import directions
from . import script, sequencer

MARK = "· "
"""How the names of marks begin: no emotion, and seldom an artist's own marker, begins so."""


@dataclass(frozen=True)
class SpokenWord:
    """A word or a viseme, and the frames at which it begins and ends."""

    text: str
    start: float
    end: float


def keep(
    ob: bpy.types.Object,
    words: Sequence[str],
    times: Sequence[tuple[float, float]],
    sentences: Sequence[Sentence],
    frame: Callable[[float], float],
    visemes: Sequence[SpokenWord] = (),
) -> None:
    """Note on the character what was predicted; `frame` turns seconds, those of `visemes` too, into frames."""
    speech = ob.edtalk.speech
    said = [SpokenWord(word, start, end) for word, (start, end) in zip(words, times, strict=True)]
    speech.spoken, speech.visemes = _note(said, frame), _note(visemes, frame)
    speech.sentence = -1
    speech.sentences.clear()
    for sentence in sentences:
        item = speech.sentences.add()
        item.name = " ".join(words[sentence.first : sentence.first + sentence.words])
        item.start, item.end = frame(sentence.start), frame(sentence.end)
        item.first, item.words = sentence.first, sentence.words
        item.emotion, item.intensity, item.timed = sentence.emotion, sentence.intensity, sentence.timed


def _note(words: Sequence[SpokenWord], frame: Callable[[float], float]) -> str:
    """Return words as JSON, their times turned into frames; nothing for none."""
    rows = [[word.text, round(frame(word.start), 2), round(frame(word.end), 2)] for word in words]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")) if rows else ""


def move(ob: bpy.types.Object, frame: Callable[[float], float]) -> None:
    """Move the words, visemes and sentences of the last prediction to other frames."""
    speech = ob.edtalk.speech
    speech.spoken, speech.visemes = _note(words_of(ob), frame), _note(visemes_of(ob), frame)
    for item in speech.sentences:
        item.start, item.end = frame(item.start), frame(item.end)


def words_of(ob: bpy.types.Object) -> list[SpokenWord]:
    """Return the words of the last prediction; none for a damaged note."""
    return _read(ob.edtalk.speech.spoken)


def visemes_of(ob: bpy.types.Object) -> list[SpokenWord]:
    """Return what the lips showed in the last prediction; none for a damaged note."""
    return _read(ob.edtalk.speech.visemes)


def _read(note: str) -> list[SpokenWord]:
    try:
        return [
            SpokenWord(str(word), float(start), float(end)) for word, start, end in json.loads(note or "[]")
        ]
    except (ValueError, TypeError):
        return []


# --- marks -----------------------------------------------------------------------------------------------------------


def marks(scene: bpy.types.Scene) -> list[bpy.types.TimelineMarker]:
    """Return the marks of words and visemes in a scene's timeline."""
    return [marker for marker in scene.timeline_markers if marker.name.startswith(MARK)]


def clear_marks(scene: bpy.types.Scene) -> int:
    """Remove the marks of words and visemes. Return how many there were."""
    found = marks(scene)
    for marker in found:
        scene.timeline_markers.remove(marker)
    return len(found)


def mark_words(scene: bpy.types.Scene, words: Sequence[SpokenWord]) -> int:
    """Put a mark at the beginning of each word (or viseme) in the scene's range, in place of older ones. Return how
    many."""
    clear_marks(scene)
    inside = [word for word in words if scene.frame_start <= round(word.start) <= scene.frame_end]
    for word in inside:
        scene.timeline_markers.new(MARK + word.text, frame=round(word.start))
    return len(inside)


# --- directions ------------------------------------------------------------------------------------------------------


def write_direction(ob: bpy.types.Object, scene: bpy.types.Scene, number: int, direction: str) -> str:
    """Write an emotion in brackets before a sentence, and what they had before those that follow, so that only this one
    changes: a direction holds until the next one.

    A transcript that is a file becomes a text of the .blend first: the file stays as it is, and undo works. Return the
    name of the text that was written into; empty for strips. Raises `EDTalkError` when the words are not there any
    more.
    """
    pieces = _pieces(ob, scene)
    texts = [piece.read() for piece in pieces]
    sentences = [_sentence_of(item) for item in ob.edtalk.speech.sentences]
    words = [word.text for word in words_of(ob)]
    written = directions.fix("\n".join(texts), words, sentences, number, direction)
    if written is None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "The transcript does not hold this sentence any more.",
            "Predict again, then fix it.",
        )
    _write_pieces(pieces, texts, written)
    return pieces[0].name if len(pieces) == 1 else ""


def _sentence_of(item: bpy.types.PropertyGroup) -> directions.Sentence:
    felt = f"{item.emotion} {item.intensity:.2g}" if item.emotion and item.intensity > 0 else "none"
    return directions.Sentence(item.first, item.words, felt)


def _write_pieces(
    pieces: Sequence[_Piece], texts: Sequence[str], written: Sequence[directions.Insertion]
) -> None:
    """Make the insertions, which count the letters of the joined texts, from the last to the first."""
    rewritten = list(texts)
    for insertion in sorted(written, key=lambda one: -one.at):
        number, start = _piece_at(texts, insertion.at)
        rewritten[number] = directions.write_direction(
            rewritten[number], insertion.at - start, insertion.felt
        )
    for piece, before, after in zip(pieces, texts, rewritten, strict=True):
        if after != before:
            piece.write(after)


@dataclass(frozen=True)
class _Piece:
    """A text that can be rewritten."""

    name: str
    read: Callable[[], str]
    write: Callable[[str], None]


def _pieces(ob: bpy.types.Object, scene: bpy.types.Scene) -> list[_Piece]:
    speech = ob.edtalk.speech
    if speech.transcript_from == "STRIPS":
        return [_strip_piece(strip) for strip in sequencer.spoken_texts(scene) if strip.text.strip()]
    if speech.transcript_from == "FILE":
        text = script.file_as_text(ob)
        speech.text, speech.transcript_from = text, "TEXT"
    if speech.transcript_from != "TEXT" or speech.text is None:
        raise EDTalkError(ErrorCode.UNSUPPORTED, "There is no transcript.", "Choose a transcript first.")
    return [_text_piece(speech.text)]


def _text_piece(text: bpy.types.Text) -> _Piece:
    return _Piece(text.name, text.as_string, text.from_string)


def _strip_piece(strip: bpy.types.Strip) -> _Piece:
    def write(text: str) -> None:
        strip.text = text

    return _Piece(strip.name, lambda: str(strip.text), write)


def _piece_at(texts: Sequence[str], at: int) -> tuple[int, int]:
    """Return which of the joined texts holds a letter, and where it begins."""
    start = 0
    for i, text in enumerate(texts):
        if at <= start + len(text):
            return i, start
        start += len(text) + 1
    return len(texts) - 1, start
