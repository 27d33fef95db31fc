"""What prosody says of tones, vowels and real speech."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from edtalk_server.arrays import Doubles, Floats
from edtalk_server.media.audio import prosody as prosody_module
from edtalk_server.media.audio.prosody import COLUMNS, REACH_S, Prosody, pitch, prosody
from edtalk_server.training.speech.espeak import Espeak, Manner
from shared_protocol.errors import EDTalkError

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0, loudness: float = 0.3) -> Floats:
    return (loudness * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def buzz(hertz: Doubles) -> Floats:
    """A row of pulses [n] at the instantaneous frequencies `hertz` [n] through the formants of an open vowel."""
    pulses = np.diff(np.floor(np.cumsum(hertz) / RATE), prepend=0.0)
    seconds = np.arange(800) / RATE
    ring = sum(
        np.exp(-np.pi * width * seconds) * np.sin(2 * np.pi * formant * seconds)
        for formant, width in ((700, 80), (1200, 90), (2600, 120))
    )
    wave = np.convolve(pulses, np.asarray(ring))[: len(pulses)]
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def looks_of(wave: Floats) -> Doubles:
    return np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), 1024)[::640]


@cache
def speech(voice: str = "en-us", height: int = 50, spread: int = 50) -> Floats:
    try:
        espeak = Espeak.shared()
    except EDTalkError:
        pytest.skip("espeak-ng is not installed")
    text = "The weather will be warm, with a few showers over the valley. Honestly, we shall find a way."
    return espeak.speak(text, Manner(voice, 170, height, spread)).samples


@pytest.mark.parametrize("hertz", [70.0, 110.0, 233.1, 440.0])
def test_the_pitch_of_a_tone_is_its_frequency(hertz: float) -> None:
    f0, voicing = pitch(looks_of(tone(hertz)))
    assert np.abs(12 * np.log2(f0 / hertz)).max() < 0.05
    assert voicing.min() > 0.9


@pytest.mark.parametrize("base", [85.0, 130.0, 220.0, 330.0])
def test_the_pitch_of_a_gliding_vowel_follows_it_and_hardly_slips(base: float) -> None:
    glide = base * 2 ** (4 * np.sin(2 * np.pi * 0.5 * np.arange(3 * RATE) / RATE) / 12)
    f0, _ = pitch(looks_of(buzz(glide)))
    truth = glide[512::640][: len(f0)]
    wrong = np.abs(12 * np.log2(f0 / truth))
    assert np.isfinite(f0).mean() > 0.95
    assert np.nanmedian(wrong) < 0.15
    assert np.nanmean(wrong > 1.0) < 0.03


def test_noise_and_silence_have_no_pitch() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    f0, voicing = pitch(looks_of(noise.astype(np.float32)))
    assert np.isnan(f0).mean() > 0.9
    assert voicing.mean() < 0.05
    assert np.isnan(pitch(looks_of(np.zeros(RATE, np.float32)))[0]).all()


def test_a_voice_that_speaks_on_one_tone_has_it_and_a_lively_one_moves() -> None:
    flat, lively = (prosody(speech("en-us", 50, spread), 100)[:, Prosody.PITCH] for spread in (0, 99))
    assert np.percentile(np.abs(flat[flat != 0]), 80) < 1.0
    assert lively[lively != 0].std() > 1.3 * flat[flat != 0].std()


def test_a_higher_voice_has_a_higher_pitch_and_most_of_speech_is_voiced() -> None:
    low, high = (pitch(looks_of(speech("en-us", height, 20)))[0] for height in (20, 80))
    assert 1.2 < np.nanmedian(high) / np.nanmedian(low) < 3.0
    assert 0.4 < np.isfinite(low).mean() < 0.95


def test_a_part_of_a_voice_has_the_rows_of_the_whole() -> None:
    voice = np.concatenate([speech(), np.zeros(4000, np.float32), speech("en-us+f3"), speech()] * 2)
    frames = len(voice) // 640
    whole = prosody(voice, frames)
    begin, reach = 640 * (frames // 2), int(REACH_S * RATE) // 640 * 640
    part = voice[begin - reach : begin + reach + 640 * 50]
    rows = prosody(part, 50, reach // 640)
    assert np.abs(rows - whole[begin // 640 : begin // 640 + 50]).max() < 1e-5
    assert np.abs(prosody(voice, 50, begin // 640) - rows).max() < 1e-5


def test_outside_the_voice_is_a_pause_and_no_frames_are_no_rows() -> None:
    rows = prosody(speech(), 40, first=-100)
    assert (rows == rows[0]).all()
    assert rows[0, Prosody.ENERGY] == -4.0
    assert rows[0, Prosody.SINCE_PAUSE] == 0.0
    assert prosody(speech(), 0).shape == (0, COLUMNS)


def test_pauses_reset_the_time_since_and_short_closures_do_not() -> None:
    gap, closure = np.zeros(int(0.4 * RATE), np.float32), np.zeros(int(0.1 * RATE), np.float32)
    rows = prosody(np.concatenate([tone(150), closure, tone(150), gap, tone(150)]), 80)
    since = rows[:, Prosody.SINCE_PAUSE]
    assert since[48] == pytest.approx(48 / 25, abs=0.13)
    assert (since[56:60] == 0).all()
    assert since[75] == pytest.approx((75 - 62.5) / 25, abs=0.13)


def test_louder_is_more_energy_an_attack_is_an_onset_and_hiss_has_a_high_tilt() -> None:
    soft, loud = (prosody(tone(200, loudness=level), 20)[10, Prosody.ENERGY] for level in (0.03, 0.3))
    assert loud - soft == pytest.approx(1.0, abs=0.01)
    attack = prosody(np.concatenate([np.zeros(RATE, np.float32), buzz(np.full(RATE, 120.0))]), 50)
    assert abs(int(attack[:, Prosody.ONSET].argmax()) - 25) <= 1
    hiss = np.diff(np.random.default_rng(1).standard_normal(RATE + 1)).astype(np.float32) * 0.1
    assert prosody(hiss, 20)[10, Prosody.TILT] > 0.4 > prosody(tone(200), 20)[10, Prosody.TILT]


# --- heard once ------------------------------------------------------------------------------------------------------


def test_a_voice_that_nobody_can_change_is_listened_to_once(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []

    def counted(looks: Doubles) -> tuple[Doubles, Doubles]:
        heard.append(len(looks))
        return pitch(looks)

    monkeypatch.setattr(prosody_module, "pitch", counted)
    wave = tone(150, seconds=3.0)
    first = prosody(wave, 60)
    wave.flags.writeable = False
    assert np.array_equal(prosody(wave, 60), first)
    listened = len(heard)
    again = prosody(wave, 40, 20)
    assert len(heard) == listened, "the head asks for what the feelings have asked for"
    assert np.array_equal(again, first[20:])


def test_what_was_heard_of_a_voice_goes_with_it() -> None:
    wave = tone(150)
    wave.flags.writeable = False
    prosody(wave, 10)
    key = id(wave)
    assert key in prosody_module._pieces
    del wave
    assert key not in prosody_module._pieces


def test_a_voice_that_may_change_is_heard_anew() -> None:
    wave = tone(150)
    before = prosody(wave, 20)
    wave *= 0.1
    assert (prosody(wave, 20)[10] != before[10]).any()
