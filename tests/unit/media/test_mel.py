"""The way of a voice to mouth weights, apart from the network."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edtalk_server.media.audio import mel


def test_a_second_of_voice_has_80_mel_frames_of_80_bands_and_25_windows() -> None:
    wave = np.random.default_rng(0).normal(size=16000).astype(np.float32) * 0.1
    spectrogram = mel.mel_spectrogram(wave)
    assert spectrogram.shape == (81, 80)
    assert mel.whole_frames(len(wave)) == 25
    assert mel.windows(spectrogram, 25).shape == (25, 80, 16)


def test_silence_is_the_lowest_level_and_nothing_is_beyond_the_range() -> None:
    assert (mel.mel_spectrogram(np.zeros(3200)) == -4.0).all()
    loud = mel.mel_spectrogram(np.random.default_rng(0).normal(size=3200) * 100.0)
    assert loud.max() == 4.0


def test_a_long_voice_is_heard_the_same_as_its_parts() -> None:
    wave = np.random.default_rng(1).normal(size=16000 * 60).astype(np.float32) * 0.1
    whole = mel.mel_spectrogram(wave)
    start = 16000 * 40
    part = mel.mel_spectrogram(wave[start : start + 16000])
    first = start // mel.HOP
    assert np.allclose(whole[first + 4 : first + 76], part[4:76], atol=1e-5)


def test_the_window_of_a_frame_begins_80_ms_before_it_rounded_towards_zero() -> None:
    starts = mel.window_indices(12, 10_000)[:, 0]
    assert starts.tolist() == [0, 0, 0, 3, 6, 9, 12, 16, 19, 22, 25, 28]
    assert mel.window_indices(1, 10_000)[0].tolist() == [0] * 7 + list(range(1, 10))
    assert mel.window_indices(40, 50).max() == 49


def test_a_tone_sounds_in_the_band_of_its_pitch() -> None:
    tone = np.sin(2.0 * np.pi * 1000.0 * np.arange(16000) / 16000)
    band = int(mel.mel_spectrogram(tone)[40].argmax())
    assert mel.mel_basis()[band, 50] > 0.0  # bin 50 of 401 is 1000 Hz


def test_the_filter_bank_is_that_of_librosa() -> None:
    filters = pytest.importorskip("librosa.filters")
    expected = filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55.0, fmax=7600.0)
    assert np.abs(mel.mel_basis() - expected).max() < 1e-8


def test_smoothing_holds_the_ends_of_a_clip_unless_it_repeats_the_release() -> None:
    steady = np.ones((5, 20), np.float32)
    assert np.allclose(mel.smooth(steady), 1.0)
    released = mel.smooth(steady, mel.Edge.ZERO)
    assert released[0, 0] == pytest.approx(0.72593, abs=1e-5)
    assert mel.smooth(steady[:1], mel.Edge.ZERO)[0, 0] == pytest.approx(0.4519, abs=1e-4)
    assert mel.smooth(np.empty((0, 20), np.float32).reshape(0, 20)).shape == (0, 20)


def test_a_voice_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="400 samples"):
        mel.mel_spectrogram(np.zeros(10))


def test_no_compiler_is_loaded_for_the_filter_bank() -> None:
    code = "import sys; from edtalk_server.media.audio import mel; mel.mel_basis()"
    code += "; print({'librosa', 'numba', 'scipy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
