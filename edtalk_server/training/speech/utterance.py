"""The output of a synthesiser: samples, and the time of each speech sound in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Sound [N] in [-1, 1] at 16 kHz, mono."""

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Segment:
    """One speech sound: its symbol in the synthesiser's alphabet, from `start` to `end` in seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """Samples [-1, 1] at 16 kHz and the sounds in them, in order; the words too, where the synthesiser tells them."""

    samples: Samples
    segments: tuple[Segment, ...]
    words: tuple[Segment, ...] = ()

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


def resample(samples: Samples, rate: float) -> Samples:
    """Resample from `rate` Hz to 16 kHz (soxr, high quality)."""
    import soxr

    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)


def warp(utterance: Utterance, factor: float) -> Utterance:
    """Play the voice `factor` times as fast: shorter, higher, as if from a smaller throat."""
    samples = resample(utterance.samples, SAMPLE_RATE * factor)
    segments, words = (
        tuple(Segment(s.symbol, s.start / factor, s.end / factor) for s in marks)
        for marks in (utterance.segments, utterance.words)
    )
    return Utterance(samples, segments, words)
