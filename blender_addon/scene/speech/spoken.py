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
"""How the names of word marks begin: no emotion, and seldom an artist's own marker, begins so."""


@dataclass(frozen=True)
class SpokenWord:
    """A word, and the frames at which it begins and ends."""

    text: str
    start: float
    end: float


def keep(
    ob: bpy.types.Object,
    words: Sequence[str],
    times: Sequence[tuple[float, float]],
    sentences: Sequence[Sentence],
    frame: Callable[[float], float],
) -> None:
    """Note on the character what was predicted; `frame` turns seconds into frames."""
    speech = ob.edtalk.speech
    rows = [
        [word, round(frame(start), 2), round(frame(end), 2)]
        for word, (start, end) in zip(words, times, strict=True)
    ]
    speech.spoken = json.dumps(rows, ensure_ascii=False, separators=(",", ":")) if rows else ""
    speech.sentence = -1
    speech.sentences.clear()
    for sentence in sentences:
        item = speech.sentences.add()
        item.name = " ".join(words[sentence.first : sentence.first + sentence.words])
        item.start, item.end = frame(sentence.start), frame(sentence.end)
        item.first, item.words = sentence.first, sentence.words
        item.emotion, item.intensity, item.timed = sentence.emotion, sentence.intensity, sentence.timed


def move(ob: bpy.types.Object, frame: Callable[[float], float]) -> None:
    """Move the words and sentences of the last prediction to other frames."""
    speech = ob.edtalk.speech
    rows = [[word.text, round(frame(word.start), 2), round(frame(word.end), 2)] for word in words_of(ob)]
    speech.spoken = json.dumps(rows, ensure_ascii=False, separators=(",", ":")) if rows else ""
    for item in speech.sentences:
        item.start, item.end = frame(item.start), frame(item.end)


def words_of(ob: bpy.types.Object) -> list[SpokenWord]:
    """Return the words of the last prediction; none for a damaged note."""
    try:
        return [
            SpokenWord(str(word), float(start), float(end)) for word, start, end in json.loads(_noted(ob))
        ]
    except (ValueError, TypeError):
        return []


def _noted(ob: bpy.types.Object) -> str:
    return ob.edtalk.speech.spoken or "[]"


# --- marks -----------------------------------------------------------------------------------------------------------


def marks(scene: bpy.types.Scene) -> list[bpy.types.TimelineMarker]:
    """Return the word marks in a scene's timeline."""
    return [marker for marker in scene.timeline_markers if marker.name.startswith(MARK)]


def clear_marks(scene: bpy.types.Scene) -> int:
    """Remove the word marks. Return how many there were."""
    found = marks(scene)
    for marker in found:
        scene.timeline_markers.remove(marker)
    return len(found)


def mark_words(scene: bpy.types.Scene, words: Sequence[SpokenWord]) -> int:
    """Put a mark at the beginning of each word in the scene's range, in place of older ones. Return how many."""
    clear_marks(scene)
    inside = [word for word in words if scene.frame_start <= round(word.start) <= scene.frame_end]
    for word in inside:
        scene.timeline_markers.new(MARK + word.text, frame=round(word.start))
    return len(inside)


# --- directions ------------------------------------------------------------------------------------------------------


def write_direction(ob: bpy.types.Object, scene: bpy.types.Scene, number: int, direction: str) -> str:
    """Write an emotion in brackets before a sentence, and before the next one what it had, so that only this one
    changes.

    A transcript that is a file becomes a text of the .blend first: the file stays as it is, and undo works. Return the
    name of the text that was written into; empty for strips. Raises `EDTalkError` when the words are not there any
    more.
    """
    sentences, words = ob.edtalk.speech.sentences, [word.text for word in words_of(ob)]
    wanted = [(sentences[number].first, direction)]
    if number + 1 < len(sentences):
        following = sentences[number + 1]
        wanted.append((following.first, described(following.emotion, following.intensity)))
    pieces = _pieces(ob, scene)
    texts = [piece.read() for piece in pieces]
    whole = "\n".join(texts)
    places = directions.find_words(whole, words)
    sentence = sentences[number]
    if None in places[sentence.first : sentence.first + sentence.words] or not places:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "The transcript does not hold this sentence any more.",
            "Predict again, then fix it.",
        )
    for i, (word, felt) in reversed(list(enumerate(wanted))):
        at = places[word] if word < len(places) else None
        if at is not None and (i == 0 or not directions.has_direction(whole, at)):
            number_of_text, start = _piece_at(texts, at)
            texts[number_of_text] = directions.write_direction(texts[number_of_text], at - start, felt)
    for piece, text in zip(pieces, texts, strict=True):
        piece.write(text)
    return pieces[0].name if len(pieces) == 1 else ""


def described(emotion: str, intensity: float) -> str:
    """Return how an emotion is written in brackets."""
    return f"{emotion} {intensity:.2g}" if emotion and intensity > 0 else "none"


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
        if strip.text != text:
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
