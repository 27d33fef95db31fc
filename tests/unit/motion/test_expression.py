"""Emotions over time: from words, voice, both or neither."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion.align import Alignment, align
from edtalk_server.motion.expression import FASTEST, LEAD_S, RESTING, express
from shared_protocol.emotions import EMOTIONS
from shared_protocol.transcripts import parse

HAPPY, SAD, ANGRY = (EMOTIONS.index(name) for name in ("happy", "sad", "angry"))
SUBTITLES = """00:00:02,000 --> 00:00:04,000
What a happy day.

00:00:09,000 --> 00:00:11,000
I am so sad, it is all grey.
"""


class Listener:
    """Stands in for the network: hears its words, and in sound alone anger."""

    def feel(self, texts: Sequence[str], voices: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        shares = np.full((len(texts), 8), 0.0, np.float32)
        for row, text, voice in zip(shares, texts, voices, strict=True):
            named = [name for name in EMOTIONS if name in text]
            row[EMOTIONS.index(named[0]) if named else ANGRY if len(voice) and not text else 7] = 1.0
        return shares, np.full(len(texts), 0.8, np.float32)


def seconds(count: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + count) / 24


def speech(*spans: tuple[float, float], length: float) -> Waveform:
    time = np.arange(round(length * 16000)) / 16000
    heard = sum(((time >= start) & (time < end)) for start, end in spans)
    tune = 0.2 * np.sin(2 * np.pi * 140 * time) * (1.2 + np.sin(2 * np.pi * 0.4 * time))
    return Waveform((tune * heard).astype(np.float32))


@pytest.fixture(scope="module")
def told() -> Alignment:
    return align(parse(SUBTITLES), None)


def test_a_feeling_begins_before_its_first_word_holds_and_fades_in_a_long_pause(told: Alignment) -> None:
    curves = express(seconds(24 * 14), Listener(), told, None).curves

    def at(second: float) -> np.ndarray:
        return curves[round(second * 24)]

    assert curves.shape == (24 * 14, 8) and curves.dtype == np.float32
    assert at(2.0 - LEAD_S - 0.1).max() == 0.0
    assert at(2.5)[HAPPY] == pytest.approx(0.8, abs=2e-3) and at(3.9)[HAPPY] == pytest.approx(0.8, abs=2e-3)
    assert at(6.0)[HAPPY] == pytest.approx(0.8 * RESTING, abs=2e-3)
    assert at(10.5)[SAD] == pytest.approx(0.8, abs=2e-3) and at(10.5)[HAPPY] == 0.0
    assert at(13.0).max() == 0.0


def test_no_intensity_changes_faster_than_a_face_can(told: Alignment) -> None:
    curves = express(seconds(24 * 14), Listener(), told, speech((2, 4), (9, 11), length=14.0)).curves
    assert np.abs(np.diff(curves, axis=0)).max() * 24 <= FASTEST + 1e-4


def test_a_part_equals_the_whole(told: Alignment) -> None:
    voice = speech((2, 4), (9, 11), length=14.0)
    whole = express(seconds(24 * 14), Listener(), told, voice).curves
    part = express(seconds(60, first=190), Listener(), told, voice).curves
    np.testing.assert_allclose(part, whole[190:250], atol=1e-5)


def test_loudness_modulates_by_a_quarter_at_most(told: Alignment) -> None:
    voice = speech((2, 4), (9, 11), length=14.0)
    curves = express(seconds(24 * 14), Listener(), told, voice).curves
    held = curves[round(2.6 * 24) : round(3.9 * 24), HAPPY]
    assert held.min() >= 0.8 * 0.75 - 1e-6 and held.max() <= 1.0
    assert np.ptp(held) > 0.02


def test_brackets_override_from_their_place_on() -> None:
    text = SUBTITLES.replace("I am", "[angry 0.6] I am")
    curves = express(seconds(24 * 14), Listener(), align(parse(text), None), None).curves
    assert curves[24 * 3, HAPPY] == pytest.approx(0.8, abs=2e-3)
    after = curves[round(9.5 * 24) :]
    np.testing.assert_allclose(after[:, ANGRY], 0.6, atol=1e-6)
    assert after[:, SAD].max() == 0.0


def test_a_chosen_emotion_takes_the_place_of_what_is_predicted(told: Alignment) -> None:
    base = np.eye(8)[ANGRY] * 0.5
    result = express(seconds(48), Listener(), told, None, base=base)
    np.testing.assert_allclose(result.curves, np.tile(base, (48, 1)), atol=1e-6)


def test_a_sentence_parts_at_a_comma_where_the_emotion_changes() -> None:
    told = align(parse("You made me very happy, but now I am sad again."), None)
    found = express(seconds(96), Listener(), told, None).feelings
    assert [feeling.emotion for feeling in found] == ["happy", "sad"]
    assert found[0].text == "You made me very happy," and found[0].last == found[1].first


def test_voice_alone_has_feelings_and_neither_has_none() -> None:
    voice = speech((1, 3), (5, 6), length=8.0)
    heard = express(seconds(24 * 8), Listener(), None, voice)
    assert [feeling.emotion for feeling in heard.feelings] == ["angry", "angry"]
    assert heard.curves[48, ANGRY] > 0.5
    neither = express(seconds(24), Listener(), None, None)
    assert neither.feelings == () and not neither.curves.any()


def test_a_foreign_language_is_heard_and_not_read() -> None:
    told = align(parse("Ein happy Tag."), None, "de")
    found = express(seconds(48), Listener(), told, None, "de").feelings
    assert found[0].emotion == "neutral"


def test_gain_scales_what_is_predicted_and_not_what_is_written(told: Alignment) -> None:
    half = express(seconds(24 * 5), Listener(), told, None, gain=0.5).curves
    assert half[24 * 3, HAPPY] == pytest.approx(0.4, abs=2e-3)
    written = align(parse("[happy 0.7] Hello there."), None)
    assert express(seconds(48), Listener(), written, None, gain=0.0).curves[47, HAPPY] == pytest.approx(
        0.7, abs=2e-3
    )
