"""Makes clean synthetic voices sound like recordings: loudness, microphones, rooms and noises vary."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.media.audio.mel import WINDOW, mel_basis
from edtalk_server.training.speech.utterance import SAMPLE_RATE, Samples

Rng = np.random.Generator


def recording(samples: Samples, rng: Rng) -> Samples:
    """Change a clip as if some microphone in some room had recorded it; the length and all times stay."""
    studio = rng.random() < 0.3
    if rng.random() < 0.6:
        samples = unsteady(samples, rng)
    if not studio and rng.random() < 0.5:
        samples = room(samples, rng)
    if not studio and rng.random() < 0.8:
        samples = equalise(samples, rng)
    samples = samples / (np.abs(samples).max(initial=0.0) + 1e-6)
    noisy = samples + noise(len(samples), rng) * 10 ** rng.uniform(-4.5, -3.0 if studio else -1.3)
    loud = 10 ** rng.uniform(-1.3, 0.0)
    return np.clip(noisy * loud, -1.0, 1.0).astype(np.float32)


def unsteady(samples: Samples, rng: Rng) -> Samples:
    """Speak louder and softer (9 dB each way, within a word to a sentence), as if the speaker had other stresses or
    another distance: how loud a moment is says little about how far the mouth is open."""
    knots = np.arange(0.0, len(samples) + SAMPLE_RATE, SAMPLE_RATE * rng.uniform(0.15, 1.2))
    decibels = np.interp(np.arange(len(samples)), knots, rng.uniform(-9, 9, len(knots)))
    return np.asarray(samples * 10 ** (decibels / 20), np.float32)


def equalise(samples: Samples, rng: Rng) -> Samples:
    """Apply a smooth random frequency response (8 bands, 6 dB), now and then with the narrow band of old recordings."""
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    bands = np.geomspace(60, SAMPLE_RATE / 2, 8)
    gain = np.interp(np.log(frequency + 1), np.log(bands), rng.normal(0, 6, len(bands)))
    response = 10 ** (gain / 20)
    if rng.random() < 0.35:
        response = response * _low_pass(frequency, rng.uniform(2_800, 7_000))
    if rng.random() < 0.35:
        response = response * (1 - _low_pass(frequency, rng.uniform(60, 300)))
    return np.fft.irfft(spectrum * response, len(samples)).astype(np.float32)


def _low_pass(frequency: np.ndarray, edge: float) -> np.ndarray:
    return 1 / (1 + (frequency / edge) ** 8)


def room(samples: Samples, rng: Rng) -> Samples:
    """Add reverberation: decaying noise (0.1 to 0.7 s) under the direct sound."""
    decay = rng.uniform(0.1, 0.7)
    length = int(decay * SAMPLE_RATE)
    tail = rng.normal(0, 1, length) * 10 ** (-3 * np.arange(length) / length)
    tail *= rng.uniform(0.05, 0.5) / np.sqrt((tail**2).sum())
    tail[0] += 1.0
    size = 1 << (len(samples) + length - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size), size)
    return wet[: len(samples)].astype(np.float32)


def noise(length: int, rng: Rng) -> Samples:
    """Return noise of unit loudness with a random colour, from white to brown, sometimes with a mains hum."""
    spectrum = np.fft.rfft(rng.normal(0, 1, length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 20.0)
    coloured = np.fft.irfft(spectrum * frequency ** -rng.uniform(0.0, 1.0), length)
    coloured /= coloured.std() + 1e-9
    if rng.random() < 0.2:
        hum = np.sin(2 * np.pi * rng.choice([50.0, 60.0]) * np.arange(length) / SAMPLE_RATE)
        coloured = coloured + rng.uniform(0.2, 2.0) * hum
    return coloured.astype(np.float32)


DECIBEL = 8.0 / 100.0
"""A decibel in the units of mel windows."""
_BANDS = 80
SILENT, LOUDEST = -4.0, 4.0
"""The range of mel windows."""


@dataclass(frozen=True)
class Disturbance:
    """What changes N mel windows, each [N, 1, 1, 1]: a gain of 12 dB each way, and now and then a band that is lost."""

    gain: Tensor
    lowest: Tensor
    height: Tensor

    @classmethod
    def draw(cls, count: int, device: torch.device | None = None) -> Self:
        """Draw `count` disturbances from torch's random numbers."""

        def drawn(low: float, high: float) -> Tensor:
            return torch.rand(count, 1, 1, 1, device=device) * (high - low) + low

        return cls(drawn(-12 * DECIBEL, 12 * DECIBEL), drawn(0, _BANDS), drawn(-12, 12))

    def followed(self, pairs: int) -> Self:
        """Return these, and the first `pairs` again."""
        return type(self)(
            *(torch.cat([part, part[:pairs]]) for part in (getattr(self, f.name) for f in fields(self)))
        )

    def __call__(self, windows: Tensor) -> Tensor:
        """Return changed mel windows [N, K, 80, 16]; the K of a row change alike."""
        band = torch.arange(_BANDS, device=windows.device)[:, None]
        lost = (band >= self.lowest) & (band < self.lowest + self.height)
        return torch.where(lost, torch.full_like(windows, SILENT), windows + self.gain).clamp(SILENT, LOUDEST)


_WIDEST = 0.12
"""Of the logarithm of a throat's size."""


def draw_throats(count: int, pairs: int = 0) -> Tensor:
    """Draw sizes of throats [count + pairs] around 1 from torch's random numbers, the first `pairs` of them twice."""
    sizes = torch.exp((torch.rand(count) * 2 - 1) * _WIDEST)
    return torch.cat([sizes, sizes[:pairs]])


def with_throats(windows: Tensor, sizes: Tensor) -> Tensor:
    """Return mel windows [N, K, 80, 16] whose frequencies are divided by `sizes` [N] (Jaitly and Hinton 2013, "Vocal
    tract length perturbation"): a few voices become many."""
    source = _band_of(_band_frequencies() * sizes[:, None].numpy())
    lower = torch.from_numpy(source).floor().clamp(0, _BANDS - 2)
    part = (torch.from_numpy(source) - lower).clamp(0, 1).to(windows.dtype)[:, None, :, None]
    index = lower.long()[:, None, :, None].expand(windows.shape)
    return torch.lerp(windows.gather(2, index), windows.gather(2, index + 1), part.expand(windows.shape))


@cache
def _band_frequencies() -> npt.NDArray[np.float64]:
    """Return the middle of each mel band in Hz, [80]."""
    return np.asarray(mel_basis().argmax(axis=1) * (SAMPLE_RATE / WINDOW), np.float64)


def _band_of(frequencies: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the bands of these frequencies, fractions between them."""
    middles = _band_frequencies()
    rising = middles + np.arange(_BANDS) * 1e-6  # low bands are narrower than the Fourier transform's
    return np.interp(frequencies, rising, np.arange(_BANDS)).astype(np.float32)


def disturb(windows: Tensor) -> Tensor:
    """Return mel windows [N, K, 80, 16] as if recorded otherwise (`Disturbance`)."""
    return Disturbance.draw(len(windows), windows.device)(windows)
