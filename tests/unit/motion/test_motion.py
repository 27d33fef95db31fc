"""The mouth follows the voice at any frame rate without drift, and the same for a part of it as for the whole."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.media.audio.mel import SAMPLE_RATE, mel_spectrogram, windows
from edtalk_server.media.audio.voice import Waveform, load_voice
from edtalk_server.motion import predict
from edtalk_server.motion.curves import interpolate
from edtalk_server.motion.mouth import mouth_weights
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig
from shared_protocol.banks import Bank, BankLayout, numbered_layout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase

RATES = [Fraction(24_000, 1001), Fraction(24), Fraction(25), Fraction(30)]


@dataclass(frozen=True)
class Voiced:
    """A bundle as far as prediction looks at it."""

    audio_to_lip: Any
    layout: BankLayout = field(default_factory=numbered_layout)
    semantics: Any = None
    audio_to_pose: Any = None
    pose_map: Any = None


@pytest.fixture(scope="module")
def network() -> Audio2Lip:
    torch.manual_seed(3)
    return Audio2Lip(Audio2LipConfig((4, 8, 8, 16, 16), 20)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def voice() -> Waveform:
    rng = np.random.default_rng(1)
    time = np.arange(12 * SAMPLE_RATE) / SAMPLE_RATE
    loudness = np.clip(np.sin(2 * np.pi * 1.3 * time), 0, 1)
    return Waveform((loudness * rng.normal(0, 0.1, len(time))).astype(np.float32))


@pytest.fixture(scope="module")
def starter() -> bundles.Bundle:
    if not (Path(bundles.__file__).parent / "starter" / "bundle.json").is_file():
        pytest.skip("the starter bundle has not been built yet")
    bundle = bundles.load("starter")
    assert bundle.audio_to_lip is not None, "the starter bundle must be able to follow a voice"
    return bundle


def energy(network_input: torch.Tensor) -> torch.Tensor:
    """Stands in for a network: 20 times the mean of the window. Exact, so time can be measured with it."""
    return network_input.mean(dim=(1, 2, 3))[:, None].repeat(1, 20)


# --- streaming -------------------------------------------------------------------------------------------------------


def test_a_voice_in_pieces_gives_the_same_weights_as_in_one(network: Audio2Lip, voice: Waveform) -> None:
    whole = mouth_weights(network, voice, -20, 330)
    for size in (1, 7, 256):
        pieces = [mouth_weights(network, voice, a, min(a + size, 330)) for a in range(-20, 330, size)]
        assert np.abs(np.concatenate(pieces) - whole).max() < 1e-5


def test_the_windows_are_the_official_ones(network: Audio2Lip, voice: Waveform) -> None:
    official = network(torch.from_numpy(windows(mel_spectrogram(voice.samples), 300))[:, None]).numpy()
    kernel = np.exp([-0.5, 0.0, -0.5])
    smoothed = sum(k * official[i : 298 + i] for i, k in enumerate(kernel / kernel.sum()))
    assert np.abs(mouth_weights(network, voice, 1, 299) - smoothed).max() < 1e-5


def test_outside_the_voice_is_silence(network: Audio2Lip, voice: Waveform) -> None:
    silence = mouth_weights(network, Waveform(np.zeros(16_000, np.float32)), 5, 6)[0]
    outside = mouth_weights(network, voice, -300, 700)
    assert np.allclose(outside[:299], silence, atol=1e-6)
    assert np.allclose(outside[601:], silence, atol=1e-6)
    assert not np.allclose(outside[350], silence, atol=1e-5)


@pytest.mark.parametrize("samples", [640, 641, 1279, 1280, 3000])
def test_the_shortest_voices_work(network: Audio2Lip, voice: Waveform, samples: int) -> None:
    short = Waveform(voice.samples[9000 : 9000 + samples].copy())
    rows = predict(Voiced(network), np.zeros(36), short)
    assert len(rows) == samples // 640
    assert np.isfinite(rows).all()


def test_long_work_can_be_given_up(network: Audio2Lip, voice: Waveform) -> None:
    class GivenUpError(Exception):
        pass

    def give_up(*_: object) -> None:
        raise GivenUpError

    with pytest.raises(GivenUpError):
        predict(Voiced(network), np.zeros(36), voice, checkpoint=give_up)


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", RATES)
def test_ten_minutes_do_not_drift_by_half_a_frame(fps: Fraction) -> None:
    seconds = Fraction(600)
    time_base = TimeBase(fps)
    count = time_base.frame_count(seconds)
    assert 0 <= seconds - Fraction(count) / fps < 1 / fps
    worst = max(abs(Fraction(time_base.seconds(i)) - Fraction(i) / fps) for i in range(0, count, 997))
    assert worst * fps < Fraction(1, 1_000_000)
    assert time_base.frame(time_base.seconds(count - 1)) == pytest.approx(count - 1, abs=1e-6)


@pytest.mark.parametrize("fps", RATES)
def test_a_beep_late_in_the_voice_moves_the_mouth_at_its_own_time(fps: Fraction) -> None:
    beep_at, length = 58.0, 60
    samples = np.zeros(length * SAMPLE_RATE, np.float32)
    begin = int(beep_at * SAMPLE_RATE)
    samples[begin : begin + 800] = np.random.default_rng(0).normal(0, 0.3, 800)
    rows = predict(Voiced(energy), np.zeros(36), Waveform(samples), TimeBase(fps))
    loud = rows[:, 0] - rows[0, 0]
    seconds = np.arange(len(rows)) / float(fps)
    # A window lies from 80 ms before to 120 ms after its frame: its middle is 20 ms late.
    center = (seconds * loud).sum() / loud.sum()
    assert abs(center - (beep_at + 0.025 - 0.02)) < 0.012
    assert len(rows) == int(length * fps)


def test_the_model_s_own_rate_is_not_resampled(network: Audio2Lip, voice: Waveform) -> None:
    rows = predict(Voiced(network), np.zeros(36), voice)
    assert (rows[:, :20] == mouth_weights(network, voice, 0, len(rows))).all()


def test_start_and_offset_shift_the_same_performance(network: Audio2Lip, voice: Waveform) -> None:
    rows = predict(Voiced(network), np.zeros(36), voice)
    later = predict(Voiced(network), np.zeros(36), voice, TimeBase(Fraction(25), 101, Fraction(2)), frames=50)
    assert np.abs(later - rows[50:100]).max() < 1e-5
    earlier = predict(
        Voiced(network), np.zeros(36), voice, TimeBase(Fraction(25), 1, Fraction(-1)), frames=60
    )
    assert np.abs(earlier[25:] - rows[:35]).max() < 1e-5


def test_resampling_keeps_lip_closures() -> None:
    """Three closed frames between open ones stay closed at every phase; and nothing overshoots."""
    rows = np.ones((40, 1), np.float32)
    rows[18:21] = 0.0
    for phase in np.linspace(0, 0.99, 7):
        positions = np.arange(2, 37) + phase
        curve = interpolate(rows, positions)
        assert curve.min() < 0.01
        assert 0.0 <= curve.min() <= curve.max() <= 1.0


# --- what rests, what is refused -------------------------------------------------------------------------------------


def test_pose_and_expression_rest_at_the_portrait_s_own(network: Audio2Lip, voice: Waveform) -> None:
    own = np.linspace(-1, 1, 36, dtype=np.float32)
    rows = predict(Voiced(network), own, voice)
    assert (rows[:, 20:] == own[20:]).all()
    assert rows[:, :20].std(axis=0).min() > 0


def test_a_weight_that_goes_one_way_is_never_negative(network: Audio2Lip, voice: Waveform) -> None:
    free = predict(Voiced(network), np.zeros(36), voice)
    assert (free[:, 0].min() < 0) and (free[:, 1].min() < 0), "or this test shows nothing"
    bases = numbered_layout().bases
    one_way = BankLayout((dataclasses.replace(bases[0], minimum=0.0), *bases[1:]))
    rows = predict(Voiced(network, one_way), np.zeros(36), voice)
    assert (rows[:, 0] == np.maximum(free[:, 0], 0)).all()
    assert (rows[:, 1:] == free[:, 1:]).all()


def test_what_cannot_be_predicted_says_why(network: Audio2Lip, voice: Waveform) -> None:
    cases = [
        (
            ErrorCode.EMPTY_RANGE,
            lambda: predict(Voiced(network), np.zeros(36), voice, TimeBase(offset=Fraction(99))),
        ),
        (ErrorCode.UNSUPPORTED, lambda: predict(Voiced(None), np.zeros(36), voice)),
        (ErrorCode.BAD_WEIGHTS, lambda: predict(Voiced(network), np.zeros(35), voice)),
        (ErrorCode.BAD_WEIGHTS, lambda: predict(Voiced(network), np.full(36, np.nan), voice)),
    ]
    for code, attempt in cases:
        with pytest.raises(EDTalkError) as caught:
            attempt()
        assert caught.value.code == code


# --- the starter bundle ----------------------------------------------------------------------------------------------


def _lips_apart(rows: np.ndarray, layout: BankLayout) -> np.ndarray:
    """Opening of the lips: the jaw, less what closes them."""
    channel = {name: rows[:, layout.index(name)] for name in ("jaw_open", "lips_together", "lower_lip_down")}
    return channel["jaw_open"] - channel["lips_together"] + 0.25 * channel["lower_lip_down"]


def _loudness(voice: Waveform, count: int) -> np.ndarray:
    """Root mean square of 100 ms around each frame at 25 fps."""
    padded = np.pad(voice.samples.astype(np.float64) ** 2, 800)
    return np.sqrt([padded[640 * i : 640 * i + 1600].mean() for i in range(count)])


def test_real_speech_moves_the_lips_with_its_loudness(starter: bundles.Bundle, shared: Path) -> None:
    voice = load_voice(shared / "data" / "jfk.flac")
    rows = predict(starter, np.zeros(36), voice)
    apart = _lips_apart(rows, starter.layout)
    assert rows[:, starter.layout.index("jaw_open")].std() > 0.05
    assert apart.max() > 0.25
    assert np.corrcoef(apart, _loudness(voice, len(rows)))[0, 1] > 0.5


def test_silence_closes_the_mouth(starter: bundles.Bundle, shared: Path) -> None:
    mouth = starter.layout.slice_of(Bank.MOUTH)
    speech = load_voice(shared / "data" / "jfk.flac").samples
    rng = np.random.default_rng(0)
    for hiss in (0.0, 1e-4, 1e-3):
        quiet = np.concatenate([np.zeros(32_000), speech[:64_000], np.zeros(64_000)]).astype(np.float32)
        quiet += hiss * rng.normal(0, 1, len(quiet)).astype(np.float32)
        rows = predict(starter, np.zeros(36), Waveform(quiet))
        silence = np.concatenate([rows[5:40], rows[160:]])
        assert np.abs(silence[:, mouth]).mean() < 0.03
        assert np.abs(_lips_apart(silence, starter.layout)).max() < 0.12
        assert _lips_apart(rows[55:140], starter.layout).max() > 0.2
