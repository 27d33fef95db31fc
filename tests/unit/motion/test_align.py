"""When each word is spoken: by the transcript's own times, by a recogniser, by guess."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edtalk_server import samples as sample_files
from edtalk_server.media.audio.voice import Waveform, load_voice
from edtalk_server.motion import recognizer
from edtalk_server.motion.align import Timing, align
from edtalk_server.motion.pronunciation import sounds_of, spoken_forms
from edtalk_server.motion.script_words import Boundary, script, syllables
from edtalk_server.motion.word_guess import spread
from edtalk_server.training.speech import espeak
from shared_protocol.emotions import Cue
from shared_protocol.transcripts import parse

needs_recognizer = pytest.mark.skipif(
    not recognizer.is_available(), reason="pocketsphinx (extra align) is not installed"
)
TEXT = "I never thought I would see you again. You look tired; sit down, please, and tell me everything."


def voice_of(*spans: tuple[float, float], seconds: float) -> Waveform:
    """A hum that sounds in the given spans alone."""
    time = np.arange(round(seconds * 16000)) / 16000
    heard = np.zeros(len(time))
    for start, end in spans:
        heard += (time >= start) & (time < end)
    return Waveform((0.3 * np.sin(2 * np.pi * 150 * time) * heard).astype(np.float32))


@pytest.fixture(scope="module")
def spoken() -> tuple[Waveform, list[float]]:
    """Synthetic speech of `TEXT`, and where its words begin."""
    utterance = espeak.Espeak.shared().speak(TEXT, espeak.Manner("en-us+m3", 160))
    return Waveform(utterance.samples), [word.start for word in utterance.words]


def errors(found: Sequence[float], truth: Sequence[float]) -> np.ndarray:
    return np.abs(np.array(found) - np.array(truth))


def test_words_without_a_recogniser_lie_within_the_voice_and_near_the_truth(
    spoken: tuple[Waveform, list[float]],
) -> None:
    voice, truth = spoken
    result = align(parse(TEXT), voice, use_recognizer=False)
    assert [word.text for word in result.words] == TEXT.split()
    assert {word.timing for word in result.words} == {Timing.GUESSED}
    assert result.notes == ("Words placed by guess.",)
    starts = [word.start for word in result.words]
    assert starts == sorted(starts)
    assert np.median(errors(starts, truth)) < 0.25


@needs_recognizer
def test_a_recogniser_finds_words_to_a_few_hundredths(spoken: tuple[Waveform, list[float]]) -> None:
    voice, truth = spoken
    result = align(parse(TEXT), voice)
    assert {word.timing for word in result.words} == {Timing.RECOGNIZED}
    assert result.notes == ()
    assert np.median(errors([word.start for word in result.words], truth)) < 0.06


@needs_recognizer
def test_a_foreign_text_and_a_foreign_language_are_not_recognised(
    spoken: tuple[Waveform, list[float]],
) -> None:
    german = parse("Ich hätte nicht gedacht, dass wir uns jemals wiedersehen würden.")
    assert {word.timing for word in align(german, spoken[0]).words} == {Timing.GUESSED}
    assert {word.timing for word in align(parse(TEXT), spoken[0], "de-AT").words} == {Timing.GUESSED}


@needs_recognizer
def test_words_that_are_recognised_have_their_sounds_each_time() -> None:
    samples = load_voice(Path(sample_files.__file__).with_name("voice.flac")).samples
    words = ["I", "am", "so", "glad", "to", "see", "you", "Why", "are", "you", "late"]
    for _ in range(2):  # the second time as well: the recogniser is not left in the middle of an utterance
        heard = recognizer.align(samples, recognizer.spell(words).forms, wants_sounds=True)
        assert heard is not None and len(heard.spans) == len(words)
        assert [one.name for one in heard.sounds][:4] == ["AY", "AE", "M", "S"]


@needs_recognizer
def test_a_note_counts_words_that_no_dictionary_has(spoken: tuple[Waveform, list[float]]) -> None:
    text = TEXT.replace("tired", "zorblaxed").replace("please", "wumplefink")
    assert "2 unknown words." in align(parse(text), spoken[0]).notes


@needs_recognizer
def test_without_its_process_words_are_placed_by_guess(
    spoken: tuple[Waveform, list[float]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the recogniser has ended")

    monkeypatch.setattr(recognizer, "align", refuse)
    assert {word.timing for word in align(parse(TEXT), spoken[0]).words} == {Timing.GUESSED}
    assert "by guess: the recogniser has ended" in caplog.text


def test_pauses_are_matched_to_punctuation() -> None:
    text = "One two three four. Five six. Seven eight nine ten."
    voice = voice_of((0.5, 1.7), (2.2, 2.8), (3.4, 4.6), seconds=5.0)
    result = align(parse(text), voice, use_recognizer=False)
    starts = {word.text.strip("."): word.start for word in result.words}
    assert starts["One"] == pytest.approx(0.5, abs=0.05)
    assert starts["Five"] == pytest.approx(2.2, abs=0.05)
    assert starts["Seven"] == pytest.approx(3.4, abs=0.05)
    assert [sentence.text for sentence in result.sentences] == ["One two three four.", "Five six.", text[30:]]
    assert result.sentences[1].end == pytest.approx(2.8, abs=0.05)


def test_words_of_a_line_with_a_time_stay_in_it() -> None:
    subtitles = "00:00:01,000 --> 00:00:02,000\nHello there.\n\n00:00:04,000 --> 00:00:05,000\nBye."
    result = align(parse(subtitles), voice_of((0.2, 5.5), seconds=6.0), use_recognizer=False)
    assert {word.timing for word in result.words} == {Timing.LINE}
    assert result.words[0].text == "Hello" and result.words[0].start == pytest.approx(1.0)
    assert result.words[1].end <= 2.0 and result.words[2].start == pytest.approx(4.0)
    assert result.notes == ()


def test_without_a_voice_a_steady_speaker_says_the_words() -> None:
    result = align(parse("Hello there. How are you?"), None)
    starts = [word.start for word in result.words]
    assert starts[0] == 0.0 and starts == sorted(set(starts)) and starts[-1] < 4.0


def test_brackets_stand_where_the_next_word_begins() -> None:
    text = "Fine. [happy 0.7] Look at that! (sad) Oh. [door slams] Nothing [none]"
    result = align(parse(text), None)
    starts = {word.text: word.start for word in result.words}
    assert [word.text for word in result.words] == ["Fine.", "Look", "at", "that!", "Oh.", "Nothing"]
    assert result.directions == (
        Cue(starts["Look"], (("happy", 0.7),)),
        Cue(starts["Oh."], (("sad", 1.0),)),
        Cue(result.words[-1].end, ()),
    )


def test_nothing_said_is_nothing_aligned() -> None:
    assert align(parse(""), voice_of((0.0, 1.0), seconds=1.0)).words == ()
    assert align(parse("Hello."), voice_of(seconds=2.0), use_recognizer=False).words[0].end <= 2.0


def test_names_of_speakers_and_stage_directions_are_not_spoken() -> None:
    words = script(parse("ANNA: Mr. Weaver (laughs) came - late...\nBOB: no")).words
    assert [word.text for word in words] == ["Mr.", "Weaver", "came -", "late...", "no"]
    assert [word.boundary for word in words] == [
        Boundary.NONE, Boundary.NONE, Boundary.CLAUSE, Boundary.SENTENCE, Boundary.CLAUSE
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("cat", 1),
        ("made", 1),
        ("table", 2),
        ("believe", 2),
        ("wanted", 2),
        ("über", 2),
        ("привет", 2),
        ("你", 1),
    ],
)
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("don’t,", "don't"),
        ("12%", "twelve percent"),
        ("1984", "nineteen eighty four"),
        ("$2,500", "two thousand five hundred dollars"),
        ("21st", "twenty first"),
        ("3.5", "three point five"),
        ("Mr.", "mister"),
        ("well-known", "well known"),
        ("Café", "cafe"),
    ],
)
def test_words_as_they_are_spoken(word: str, forms: str) -> None:
    assert " ".join(spoken_forms(word)) == forms


def test_every_word_has_sounds() -> None:
    assert sounds_of("zorblax").split()[0] == "Z"
    assert all(sounds_of(word) for word in ("xyz", "Übermut", "qqq", "1", "knight"))


def test_ten_minutes_are_spread_in_bounded_work() -> None:
    words = script(parse("One two three, four five six seven. " * 250)).words
    stretches = [(i * 1.2, i * 1.2 + 0.9) for i in range(500)]
    spans = spread(words, stretches)
    assert len(spans) == len(words) and spans[-1][1] == pytest.approx(stretches[-1][1])
