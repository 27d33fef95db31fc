"""What the lips show when: from sounds that were heard, else from the spelling."""

from __future__ import annotations

import numpy as np
import pytest

from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion import recognizer
from edtalk_server.motion.align import Timing, Word, align
from edtalk_server.motion.recognizer import Sound
from edtalk_server.motion.visemes import Viseme, visemes
from edtalk_server.training.speech import espeak
from shared_protocol.transcripts import parse
from shared_protocol.visemes import CLOSED, VISEMES

TEXT = "Maybe a baby puppy jumped upon my mother's map before the big pompous emperor came back home."


def said(text: str, start: float = 0.0, end: float = 1.0, *sounds: Sound) -> Word:
    return Word(text, start, end, Timing.GUESSED, sounds)


def names(*words: Word, language: str = "") -> list[str]:
    return [one.name for one in visemes(words, language)]


@pytest.mark.parametrize(
    ("word", "language", "shown"),
    [
        ("Bob.", "", "PP aa PP sil"),
        ("five", "en", "FF aa ih FF sil"),
        ("Joe", "", "CH oh sil"),
        ("7", "", "SS E FF E nn sil"),
        ("Wasser", "de", "FF aa SS E RR sil"),
        ("Schaum", "de-AT", "CH aa ou PP sil"),
        ("été", "fr", "E DD E sil"),
        ("hm", "de", "PP sil"),
        ("...", "de", "sil"),
    ],
)
def test_a_word_shows_what_its_spelling_says(word: str, language: str, shown: str) -> None:
    expected = shown.split() if shown != "sil" else []
    assert names(said(word), language=language) == expected


def test_sounds_that_were_heard_keep_their_times() -> None:
    word = said("ma", 1.0, 2.0, Sound("M", 1.1, 1.2), Sound("AA1", 1.2, 1.9))
    assert visemes([word]) == (Viseme("PP", 1.1, 1.2), Viseme("aa", 1.2, 1.9), Viseme("sil", 1.9, 1.9))


def test_guessed_ones_share_the_words_time_and_vowels_last_longer() -> None:
    shown = visemes([said("map", 0.0, 1.0)])
    assert [one.name for one in shown] == ["PP", "aa", "PP", "sil"]
    assert [one.start for one in shown] == pytest.approx([0.0, 0.25, 0.75, 1.0])


def test_the_lips_rest_in_a_pause_and_not_between_close_words() -> None:
    assert names(said("ma", 0.0, 0.5), said("ma", 0.55, 1.0), said("ma", 1.5, 2.0)) == [
        "PP", "aa", "PP", "aa", "sil", "PP", "aa", "sil",
    ]  # fmt: skip


def test_every_sound_of_the_dictionary_has_a_known_viseme() -> None:
    arpabet = (
        "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
    )
    for sound in arpabet.split():
        shown = names(said("", 0.0, 1.0, Sound(sound, 0.0, 1.0)))
        assert set(shown) <= set(VISEMES) and (shown or sound == "HH")


@pytest.mark.skipif(not recognizer.is_available(), reason="pocketsphinx (extra align) is not installed")
def test_closed_lips_lie_where_a_synthesiser_says_p_b_or_m() -> None:
    utterance = espeak.Espeak.shared().speak(TEXT, espeak.Manner("en-us+m3", 150))
    truth = np.array([s.start for s in utterance.segments if s.symbol and s.symbol[0] in "pbm"])
    heard = align(parse(TEXT), Waveform(utterance.samples), wants_sounds=True)
    closed = np.array([one.start for one in visemes(heard.words) if one.name == CLOSED])
    assert len(closed) == pytest.approx(len(truth), abs=3)
    assert np.median(np.abs(truth[:, None] - closed).min(axis=1)) < 0.04
