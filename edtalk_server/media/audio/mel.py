"""From a voice to Audio2Lip's input windows, and the smoothing of its output.

All constants are the release's (from Wav2Lip): 16 kHz, 80 mel frames a second, one window of 16 mel frames for each
video frame at 25 fps.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Floats, Ints

SAMPLE_RATE = 16_000
"""Samples per second."""
SAMPLES_PER_FRAME = 640
"""Samples of one video frame at 25 fps."""

HOP = 200
"""Samples from one mel frame to the next."""
WINDOW = 800
"""Samples of one mel frame's Fourier transform."""
BANDS = 80
"""Mel bands."""
WINDOW_FRAMES = 16
"""Mel frames of one input window."""

_PREEMPHASIS = 0.97
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 7600.0
_QUIETEST = 1e-5
_REFERENCE_DB = 20.0
_MINIMUM_DB = -100.0
_RANGE = 4.0
_BLOCK = 2048  # mel frames that are computed together, so that a long voice needs little memory


class Padding(Enum):
    """What the STFT sees around a voice: its mirror image (the release's librosa), or zeros (librosa since 0.9)."""

    REFLECT = "reflect"
    ZERO = "constant"


class Edge(Enum):
    """What smoothing sees before and after a clip.

    ZERO does as the release, whose first and last frame lose 27 % of their amplitude; HOLD repeats the outer frames.
    """

    ZERO = "constant"
    HOLD = "edge"


def whole_frames(samples: int) -> int:
    """Return the number of whole video frames (25 fps) in a voice of so many samples."""
    return samples // SAMPLES_PER_FRAME


def preemphasis(wave: npt.ArrayLike) -> Doubles:
    """Return y[n] = x[n] - 0.97 x[n - 1], float64."""
    x = np.asarray(wave, dtype=np.float64)
    y = x.copy()
    y[1:] -= _PREEMPHASIS * x[:-1]
    return y


def mel_spectrogram(wave: npt.ArrayLike, padding: Padding = Padding.REFLECT) -> Floats:
    """Return the log mel spectrogram [frames, 80] in [-4, 4] of a mono voice at 16 kHz.

    Frame j is centred on sample 200 j. Raises `ValueError` for 400 samples or fewer; any whole video frame has more.
    """
    samples = preemphasis(wave)
    if samples.ndim != 1 or len(samples) <= WINDOW // 2:
        raise ValueError(f"a voice must be one channel of more than {WINDOW // 2} samples")
    padded = np.pad(samples, WINDOW // 2, mode=padding.value)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    taper = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    mel = np.empty((len(frames), BANDS), np.float32)
    for start in range(0, len(frames), _BLOCK):
        magnitude: Doubles = np.abs(np.fft.rfft(frames[start : start + _BLOCK] * taper))
        bands: Doubles = magnitude @ mel_basis().T.astype(np.float64)
        mel[start : start + _BLOCK] = _normalized(bands)
    return mel


def _normalized(mel: Doubles) -> Floats:
    decibel = 20.0 * np.log10(np.maximum(_QUIETEST, mel)) - _REFERENCE_DB
    scaled = 2.0 * _RANGE * (decibel - _MINIMUM_DB) / -_MINIMUM_DB - _RANGE
    return np.clip(scaled, -_RANGE, _RANGE).astype(np.float32)


@lru_cache(maxsize=1)
def mel_basis() -> Floats:
    """Return Slaney's mel filter bank [80, 401]: triangles from 55 to 7600 Hz, each of area 1 (Slaney 1998).

    Each rises from the middle of the one below and falls to that of the one above; the middles are evenly spaced in
    mel. librosa, to whose bank it is equal, would load a compiler and 60 MiB for it.
    """
    lowest, highest = _mel((_LOWEST_HZ, _HIGHEST_HZ)).tolist()
    edges = _hertz(np.linspace(lowest, highest, BANDS + 2))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.fft.rfftfreq(WINDOW, 1.0 / SAMPLE_RATE)
    slopes = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    return (np.maximum(0.0, slopes) * 2.0 / (high - low)).astype(np.float32)


_HERTZ_PER_MEL = 200.0 / 3.0
"""Slaney's mel: linear up to 1 kHz, above it 27 for each factor of 6.4."""
_LINEAR_TO_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def _mel(hertz: npt.ArrayLike) -> Doubles:
    """Return frequencies in Slaney's mel."""
    value = np.asarray(hertz, np.float64)
    above = np.log(np.maximum(value, _LINEAR_TO_HZ) / _LINEAR_TO_HZ) / _LOG_STEP
    return np.asarray(np.minimum(value, _LINEAR_TO_HZ) / _HERTZ_PER_MEL + above)


def _hertz(mel: Doubles) -> Doubles:
    """Return frequencies in hertz, from Slaney's mel."""
    knee = _LINEAR_TO_HZ / _HERTZ_PER_MEL
    return np.asarray(
        np.minimum(mel, knee) * _HERTZ_PER_MEL * np.exp(_LOG_STEP * np.maximum(mel - knee, 0.0))
    )


def window_indices(frames: int, mel_frames: int) -> Ints:
    """Return the mel frames [frames, 16] of each video frame's window (25 fps), repeated at the ends of the voice.

    The window of frame i begins at 16 (i - 2) / 5, rounded towards zero: 80 ms before the frame.
    """
    indices = window_starts(np.arange(frames))[:, None] + np.arange(WINDOW_FRAMES)
    return np.clip(indices, 0, mel_frames - 1).astype(np.int32)


def window_starts(frames: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first mel frame of the windows of these video frames; negative before the voice."""
    steps = 16 * (frames - 2)
    return np.asarray(np.sign(steps) * (np.abs(steps) // 5))


def windows(mel: Floats, frames: int) -> Floats:
    """Return Audio2Lip's input windows [frames, 80, 16] from a mel spectrogram [mel_frames, 80]."""
    return np.ascontiguousarray(mel[window_indices(frames, len(mel))].transpose(0, 2, 1))


def smoothing_kernel() -> Doubles:
    """Return the three taps exp(-x²/2), normalised to sum 1."""
    taps = np.exp(-0.5 * np.arange(-1.0, 2.0) ** 2)
    return taps / taps.sum()


def smooth(weights: Floats, edge: Edge = Edge.HOLD) -> Floats:
    """Smooth mouth weights [frames, channels] over time, each channel by itself."""
    if not len(weights):
        return np.asarray(weights, np.float32)
    before, center, after = smoothing_kernel()
    padded = np.pad(np.asarray(weights, np.float64), ((1, 1), (0, 0)), mode=edge.value)
    return (before * padded[:-2] + center * padded[1:-1] + after * padded[2:]).astype(np.float32)
