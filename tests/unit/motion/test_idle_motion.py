"""A face that speaks blinks and moves its head: seeded, at the wished rate, the same for a part as for the whole."""

from __future__ import annotations

import numpy as np
import pytest

from edtalk_server.bundles.load import read_manifest
from edtalk_server.media.audio.voice import SAMPLE_RATE, Waveform
from edtalk_server.motion.idle_motion import (
    CLOSED_S,
    CLOSING_S,
    NO_IDLE_MOTION,
    OPENING_S,
    IdleMotion,
    Loudness,
    add_idle_motion,
    blink_times,
    lid_closure,
)
from shared_protocol.banks import HEAD, LIDS, Bank, BankLayout, numbered_layout
from shared_protocol.messages import MOST_BLINKS

MINUTES = 10
FPS = 25


@pytest.fixture(scope="module")
def layout() -> BankLayout:
    return read_manifest("starter")[0].layout


@pytest.fixture(scope="module")
def voice() -> Waveform:
    """Speech-like noise: three seconds of syllables, then one and a half of pause, for ten minutes."""
    time = np.arange(MINUTES * 60 * SAMPLE_RATE) / SAMPLE_RATE
    speaking = (time % 4.5) < 3.0
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1)
    noise = np.random.default_rng(1).normal(0, 0.15, len(time))
    return Waveform((speaking * syllables * noise).astype(np.float32))


def times(minutes: float = MINUTES, first: float = 0.0, fps: float = FPS) -> np.ndarray:
    return first + np.arange(round(minutes * 60 * fps)) / fps


def rows(layout: BankLayout, voice: Waveform, idle: IdleMotion, seconds: np.ndarray) -> np.ndarray:
    return add_idle_motion(np.zeros((len(seconds), len(layout)), np.float32), layout, voice, seconds, idle)


def channels(layout: BankLayout, *names: str) -> list[int]:
    return [layout.index(name) for name in names]


@pytest.mark.parametrize("samples", [0, 100, 200])
def test_the_shortest_voice_is_silence(layout: BankLayout, samples: int) -> None:
    voice = Waveform(np.ones(samples, np.float32))
    assert rows(layout, voice, IdleMotion(15.0, 1.0), times(0.1)).any(), "the face lives all the same"


def test_without_a_wish_nothing_moves(layout: BankLayout, voice: Waveform) -> None:
    own = np.random.default_rng(0).normal(size=(50, len(layout))).astype(np.float32)
    np.testing.assert_array_equal(add_idle_motion(own, layout, voice, times()[:50], NO_IDLE_MOTION), own)


@pytest.mark.parametrize("rate", [5, 15, MOST_BLINKS])
def test_lids_close_as_often_as_wished(layout: BankLayout, voice: Waveform, rate: int) -> None:
    moved = rows(layout, voice, IdleMotion(blinks=rate, seed=3), times())
    left, right = moved[:, channels(layout, *LIDS)].T
    np.testing.assert_array_equal(left, right)
    closed = left > 0.95
    blinks = np.count_nonzero(closed[1:] & ~closed[:-1])
    assert blinks == pytest.approx(rate * MINUTES, abs=2), "each blink has a frame that shows it"
    others = [i for i in range(len(layout)) if i not in channels(layout, *LIDS)]
    assert not moved[:, others].any()


@pytest.mark.parametrize("rate", [5, 15, MOST_BLINKS])
def test_blinks_are_apart_and_not_like_a_clock(voice: Waveform, rate: int) -> None:
    moments = blink_times(Loudness(voice), 0, MINUTES * 60, IdleMotion(blinks=rate))
    between = np.diff(moments)
    assert between.min() > CLOSING_S + CLOSED_S + OPENING_S
    assert between.std() > 0.05 * between.mean()


def test_speakers_blink_in_pauses(voice: Waveform) -> None:
    loudness = Loudness(voice)
    moments = blink_times(loudness, 0, MINUTES * 60, IdleMotion(blinks=20))
    moments = moments[(moments > 0) & (moments < MINUTES * 60)]
    assert (moments % 4.5 >= 2.9).mean() > 0.45, "pauses are a third of the time"


@pytest.mark.parametrize("fps", [24_000 / 1001, 25, 60])
def test_a_blink_lasts_as_long_at_any_frame_rate(voice: Waveform, fps: float) -> None:
    closed = lid_closure(Loudness(voice), times(2, fps=fps), IdleMotion(blinks=15))
    share = (closed > 0.5).sum() / fps / np.count_nonzero((closed[1:] > 0.5) & (closed[:-1] <= 0.5))
    assert share == pytest.approx(CLOSED_S + (CLOSING_S + OPENING_S) / 2, abs=0.02)


def test_half_closed_lids_close_the_rest_of_the_way(layout: BankLayout, voice: Waveform) -> None:
    own = np.full((1500, len(layout)), 0.3, np.float32)
    left = add_idle_motion(own, layout, voice, times()[:1500], IdleMotion(blinks=20))[
        :, layout.index(LIDS[0])
    ]
    assert left.min() == pytest.approx(0.3) and left.max() == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["pitch", "yaw", "roll"])
def test_the_head_drifts_a_little_about_its_rest(layout: BankLayout, voice: Waveform, name: str) -> None:
    moved = rows(layout, voice, IdleMotion(head=1.0), times())[:, layout.index(name)] * 20  # degrees
    assert abs(moved.mean()) < 0.5 and 0.3 < moved.std() < 3.0
    assert np.abs(moved).max() < 12
    assert np.abs(np.diff(moved)).max() < 1.5, "degrees in a frame: it does not twitch"


def test_it_moves_more_while_speaking_than_in_silence(layout: BankLayout, voice: Waveform) -> None:
    silence = Waveform(np.zeros(len(voice.samples), np.float32))
    spoken, silent = (rows(layout, one, IdleMotion(head=1.0), times()) for one in (voice, silence))
    yaw = layout.index("yaw")
    assert 0 < silent[:, yaw].std() < 0.6 * spoken[:, yaw].std()


def test_it_nods_on_what_is_stressed(layout: BankLayout) -> None:
    time = np.arange(60 * SAMPLE_RATE) / SAMPLE_RATE
    bursts = (time % 2.0 < 0.25) * np.random.default_rng(2).normal(0, 0.2, len(time))
    voice = Waveform(bursts.astype(np.float32))
    moved = [rows(layout, voice, IdleMotion(head=1.0, seed=seed), times(1)) for seed in range(20)]
    pitch = np.mean(moved, axis=0)[:, layout.index("pitch")].reshape(-1, 2 * FPS).mean(axis=0)
    assert pitch.argmin() * 1.0 / FPS == pytest.approx(0.12, abs=0.12), "down on each burst"
    assert pitch.min() < -0.02


def test_the_eyes_stay_where_they_look(layout: BankLayout, voice: Waveform) -> None:
    moved = rows(layout, voice, IdleMotion(head=1.0), times())
    yaw, gaze = moved[:, channels(layout, "yaw", "gaze_left")].T
    assert np.corrcoef(yaw, gaze)[0, 1] < -0.95
    assert np.abs(yaw * 20 + gaze * 25).max() < np.abs(yaw * 20).max()


def test_the_mouth_is_the_voices_alone(layout: BankLayout, voice: Waveform) -> None:
    moved = rows(layout, voice, IdleMotion(15, 1.0), times())
    assert not moved[:, layout.slice_of(Bank.MOUTH)].any()


def test_the_same_seed_gives_the_same_and_another_seed_another(layout: BankLayout, voice: Waveform) -> None:
    seconds = times(1)
    one, same, other = (rows(layout, voice, IdleMotion(15, 1.0, seed), seconds) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    for name in (*HEAD, *LIDS):
        assert np.abs(one - other)[:, layout.index(name)].max() > 0.02, name


@pytest.mark.parametrize("seed", [-5, 0, 2**31 - 1])
def test_any_seed_and_any_time_will_do(layout: BankLayout, voice: Waveform, seed: int) -> None:
    moved = rows(layout, voice, IdleMotion(15, 1.0, seed, clock=-5000.0), times(0.5, first=-40))
    assert np.isfinite(moved).all() and moved.any()


def test_a_part_of_a_shot_is_as_in_the_whole(layout: BankLayout, voice: Waveform) -> None:
    idle = IdleMotion(20, 1.0, 4)
    whole = rows(layout, voice, idle, times(2))
    np.testing.assert_allclose(rows(layout, voice, idle, times(2)[800:1100]), whole[800:1100], atol=1e-6)


def test_a_part_of_the_sound_does_too_when_the_shots_clock_is_told(
    layout: BankLayout, voice: Waveform
) -> None:
    whole = rows(layout, voice, IdleMotion(20, 1.0, 4), times(2))
    start = 30  # seconds, from which on the sound is sent
    part = Waveform(voice.samples[start * SAMPLE_RATE : 60 * SAMPLE_RATE].copy())
    idle = IdleMotion(20, 1.0, 4, clock=start)
    some = rows(layout, part, idle, times(2)[35 * FPS : 50 * FPS] - start)
    np.testing.assert_allclose(some, whole[35 * FPS : 50 * FPS], atol=2e-3)


def test_weights_without_a_meaning_are_left_alone(voice: Waveform) -> None:
    assert not rows(numbered_layout(), voice, IdleMotion(15, 1.0), times(0.5)).any()
