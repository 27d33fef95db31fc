"""Any sound as one channel at 16 kHz, decoded, mixed and resampled in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np
import soxr

from edtalk_server.arrays import Floats
from edtalk_server.media.audio.decoding import Sound, open_sound
from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.audio.mixing import Mixer
from edtalk_server.media.media_file import Media

_BLOCK_SECONDS = 10
"""Seconds that are resampled together."""

OnLength = Callable[[Fraction], None]
"""Gets the seconds that are read so far; may raise to stop."""


def read_mono(media: Media, on_length: OnLength, from_start: bool = False) -> Floats:
    """Return a file's sound as float32 [n] at 16 kHz, mixed as `mixing` says.

    It begins with the first sample; with `from_start` at the file's second 0, as its pictures do.
    Raises `NotMediaError`, or `OSError` for a file that cannot be read.
    """
    with open_sound(media) as sound:
        mixer = Mixer(sound.channels)
        mixed = (mixer.add(block) for block in _watched(sound, on_length, from_start))
        samples = resampled(mixed, sound.rate)
    if (loudest := mixer.loudest) is not None:
        with open_sound(media) as sound:
            alone = (block[:, loudest] for block in _watched(sound, on_length, from_start))
            return resampled(alone, sound.rate)
    if mixer.gain != 1.0:
        samples *= np.float32(mixer.gain)
    return samples


def resampled(blocks: Iterable[Floats], rate: int) -> Floats:
    """Return blocks of one channel as one row at 16 kHz (soxr HQ, which is also librosa's default)."""
    if rate == SAMPLE_RATE:
        return np.concatenate([np.zeros(0, np.float32), *blocks])
    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    pieces = [stream.resample_chunk(block) for block in regrouped(blocks, _BLOCK_SECONDS * rate)]
    return np.concatenate([*pieces, stream.resample_chunk(np.zeros(0, np.float32), last=True)])


def regrouped(blocks: Iterable[Floats], size: int) -> Iterator[Floats]:
    """Yield the samples of small blocks, `size` or more at a time."""
    waiting: list[Floats] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= size:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _watched(sound: Sound, on_length: OnLength, from_start: bool) -> Iterator[Floats]:
    count = 0
    for block in sound.blocks(from_start):
        count += len(block)
        on_length(Fraction(count, sound.rate))
        yield block
