"""A performance is what was asked for: these banks, this emotion, with or without a voice, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blender_addon.core.weights import layouts
from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion import ChosenEmotion, IdleMotion, PredictOptions, perform, predict
from shared_protocol.banks import Bank, BankLayout
from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase
from shared_protocol.transcripts import parse

LAYOUT = layouts.starter_layout()
MOUTH = LAYOUT.slice_of(Bank.MOUTH)
OWN = np.linspace(0.1, 0.3, len(LAYOUT)).astype(np.float32)
LIVELY = IdleMotion(30.0, 1.0)


@dataclass
class Lips:
    """A network that opens the mouth by a half; it counts the windows that it heard."""

    heard: int = 0

    def __call__(self, windows: Tensor) -> Tensor:
        self.heard += len(windows)
        return torch.full((len(windows), MOUTH.stop - MOUTH.start), 0.5)


@dataclass(frozen=True)
class Parts:
    """A bundle as far as prediction looks at it."""

    audio_to_lip: Any = field(default_factory=Lips)
    layout: BankLayout = LAYOUT
    semantics: Any = None
    audio_to_pose: Any = None
    pose_map: Any = None


def voice(seconds: float = 4.0) -> Waveform:
    noise = np.random.default_rng(0).normal(0, 0.1, int(seconds * SAMPLE_RATE))
    return Waveform(noise.astype(np.float32))


def moves(rows: np.ndarray, bank: Bank) -> bool:
    return bool((rows[:, LAYOUT.slice_of(bank)] != OWN[LAYOUT.slice_of(bank)]).any())


def test_by_default_it_is_what_a_voice_alone_gave() -> None:
    predicted = perform(Parts(), OWN, voice(), options=PredictOptions(LIVELY))
    np.testing.assert_array_equal(predicted.weights, predict(Parts(), OWN, voice(), idle=LIVELY))
    assert predicted.emotions is None and predicted.words == predicted.sentences == predicted.notes == ()


@pytest.mark.parametrize("bank", list(Bank))
def test_a_bank_alone_is_as_in_the_whole_and_the_others_rest(bank: Bank) -> None:
    parts = Parts()
    whole = perform(Parts(), OWN, voice(), options=PredictOptions(LIVELY)).weights
    alone = perform(parts, OWN, voice(), options=PredictOptions(LIVELY, banks=frozenset({bank}))).weights
    columns = LAYOUT.slice_of(bank)
    np.testing.assert_array_equal(alone[:, columns], whole[:, columns])
    assert [moves(alone, other) for other in Bank] == [other is bank for other in Bank]
    assert (parts.audio_to_lip.heard > 0) == (bank is Bank.MOUTH), "a bank not asked for is not computed"


def test_a_chosen_emotion_is_a_curve_beside_the_weights() -> None:
    options = PredictOptions(emotion=ChosenEmotion("sad", 0.6))
    predicted = perform(Parts(), OWN, voice(1.0), options=options)
    assert predicted.emotions is not None and predicted.emotions.shape == (25, 8)
    assert set(predicted.emotions[:, EMOTIONS.index("sad")]) == {np.float32(0.6)}
    assert np.count_nonzero(predicted.emotions) == 25
    np.testing.assert_array_equal(predicted.weights, predict(Parts(), OWN, voice(1.0)))


def test_without_a_voice_the_mouth_rests_and_the_head_still_moves() -> None:
    predicted = perform(Parts(), OWN, None, frames=50, options=PredictOptions(LIVELY))
    assert [moves(predicted.weights, bank) for bank in Bank] == [False, True, True]


def test_words_alone_are_timed_and_directed() -> None:
    said = parse("So glad to see you. [angry 0.8] Go away!")
    predicted = perform(Parts(), OWN, None, options=PredictOptions(transcript=said, emotion_gain=1.0))
    assert " ".join(predicted.words) == "So glad to see you. Go away!"
    glad, away = predicted.sentences
    assert (glad.first, glad.words, glad.emotion) == (0, 5, "") and glad.timed == "guessed"
    assert (away.first, away.words, away.emotion) == (5, 2, "angry")
    assert away.intensity == pytest.approx(0.8, abs=0.15)
    assert len(predicted.weights) > 25 * predicted.word_times[-1, 1], "a breath after the last word"
    angry = predicted.emotions[:, EMOTIONS.index("angry")]
    assert angry[0] == 0 and angry[-1] == pytest.approx(0.8)
    assert predicted.notes, "it says that the words are placed by guess"


def test_a_direction_overrides_a_chosen_emotion_from_its_place_on() -> None:
    said, chosen = parse("So glad to see you. [none] Go away!"), ChosenEmotion("happy", 0.5)
    predicted = perform(Parts(), OWN, None, options=PredictOptions(transcript=said, emotion=chosen))
    happy = predicted.emotions[:, EMOTIONS.index("happy")]
    assert happy[0] == pytest.approx(0.5) and happy[-1] == 0
    assert [sentence.emotion for sentence in predicted.sentences] == ["happy", ""]


def test_subtitles_time_the_words_and_a_part_equals_the_whole() -> None:
    said = parse("1\n00:00:01,000 --> 00:00:02,000\n[sad] Hello there.\n")
    options = PredictOptions(LIVELY, said, emotion_gain=1.0)
    whole = perform(Parts(), OWN, voice(), options=options)
    part = perform(Parts(), OWN, voice(), TimeBase(Fraction(25), 0, Fraction(1)), 30, options)
    assert whole.sentences == part.sentences and whole.sentences[0].start == pytest.approx(1.0, abs=0.3)
    np.testing.assert_allclose(part.emotions, whole.emotions[25:55], atol=1e-6)


def test_without_a_voice_words_and_frames_there_is_nothing_to_predict() -> None:
    with pytest.raises(EDTalkError) as error:
        perform(Parts(), OWN, None)
    assert error.value.code is ErrorCode.EMPTY_RANGE


def test_a_bundle_without_lips_can_still_move_the_head() -> None:
    options = PredictOptions(LIVELY, banks=frozenset({Bank.POSE}))
    assert moves(perform(Parts(None), OWN, voice(), options=options).weights, Bank.POSE)
    with pytest.raises(EDTalkError):
        perform(Parts(None), OWN, voice())
