"""Sound from any file: its samples in blocks, continuous in time, so that a long file needs little memory.

Samples lie where their time stamps say: a gap in a recording is silence, and what overlaps is cut. Small differences
are left alone, because time stamps are often rounded to milliseconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soxr
from av.container import InputContainer

from edtalk_server.arrays import Floats
from edtalk_server.media.containers import (
    NotMediaError,
    decoded,
    open_media,
    sound_stream,
    start_second,
)
from edtalk_server.media.media_file import Media

_JUMP_S = 0.1
"""Seconds by which a time stamp must differ before samples are moved."""
_LONGEST_GAP_S = 600
"""Seconds beyond which a jump in time is taken for a broken time stamp."""
_BLOCK_S = 10
"""Seconds of silence that are made at once."""
_EXACT_LENGTH = frozenset(("mp4", "ogg"))
"""Containers that state how many samples of the last packet count, which the decoder does not see."""
_LAST_PACKET = 4096
"""Samples of a packet, at most."""
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 9223372036854775808.0}


@dataclass(frozen=True, eq=False)
class Sound:
    """An opened file's sound: samples a second, channels, and whether the file says what each channel is for."""

    rate: int
    channels: int
    layout: str
    _container: InputContainer
    _first: tuple[av.AudioFrame, ...]
    _frames: Iterator[av.AudioFrame]

    @property
    def has_places(self) -> bool:
        """Do the channels have places (left, centre, ...), unlike the tracks of a recorder?"""
        return self.channels <= 2 or not self.layout.endswith(" channels")

    def blocks(self, from_start: bool = False) -> Generator[Floats, None, None]:
        """Yield the samples, float32 [n, channels], nominally in [-1, 1], once.

        They begin with the first sample; with `from_start` at the file's second 0, as its pictures do.
        Raises `NotMediaError` for samples that are not numbers.
        """
        placed = _Placed(self, start_second(self._container) if from_start else None)
        for frame in (*self._first, *self._frames):
            yield from placed.add(frame)
        yield from placed.finish()


@contextlib.contextmanager
def open_sound(source: Media) -> Iterator[Sound]:
    """Open the sound of a file. Raises `NotMediaError`, or `OSError` for a file that cannot be read."""
    with open_media(source) as container:
        stream = sound_stream(container)
        if stream is None:
            raise NotMediaError("there is no sound in it")
        frames: Iterator[av.AudioFrame] = decoded(container, stream)
        first = next(frames, None)
        if first is None:
            yield Sound(stream.rate or 1, max(1, stream.channels), stream.layout.name, container, (), frames)
            return
        layout = first.layout
        yield Sound(first.sample_rate, layout.nb_channels, layout.name, container, (first,), frames)


class _Placed:
    """Brings frames into one row of samples, by their time stamps."""

    def __init__(self, sound: Sound, origin: Fraction | None) -> None:
        self._sound, self._origin, self._done = sound, origin, 0
        self._end = _padded_end(sound)
        self._kept = np.zeros((0, sound.channels), np.float32)

    def add(self, frame: av.AudioFrame) -> Iterator[Floats]:
        """Yield what a frame adds to the row."""
        samples = self._fitted(frame)
        missing = self._missing(frame)
        if missing > 0:
            if self._done == 0 and self._end is not None:
                self._end += missing
            yield from self._silence(missing)
        samples = samples[max(0, -missing) :]
        if len(samples):
            yield from self._without_padding(samples)

    def finish(self) -> Iterator[Floats]:
        """Yield silence up to the length that the file states, where the decoder dropped a moment of the last packet
        (Vorbis)."""
        missing = 0 if self._end is None or len(self._kept) else self._end - self._done
        if 0 < missing <= _LAST_PACKET:
            yield np.zeros((missing, self._sound.channels), np.float32)

    def _missing(self, frame: av.AudioFrame) -> int:
        """Return the samples that lack before a frame; negative for those that overlap, 0 where the time agrees."""
        if frame.pts is None or frame.time_base is None:
            return 0
        second = frame.pts * Fraction(frame.time_base)
        if self._origin is None:
            self._origin = second
        rate = self._sound.rate
        missing = round((second - self._origin) * rate) - self._done
        is_first = self._done == 0
        if abs(missing) > _LONGEST_GAP_S * rate:
            self._origin += Fraction(missing, rate)
            return 0
        return missing if is_first or abs(missing) > _JUMP_S * rate else 0

    def _silence(self, count: int) -> Iterator[Floats]:
        block = _BLOCK_S * self._sound.rate
        for start in range(0, count, block):
            yield from self._without_padding(
                np.zeros((min(block, count - start), self._sound.channels), np.float32)
            )

    def _without_padding(self, samples: Floats) -> Iterator[Floats]:
        """Pass samples on, but keep those beyond the length that the file states until more follow: the last packet
        is filled up."""
        if len(self._kept):
            yield self._kept
            self._kept, self._end = self._kept[:0], None
        over = 0 if self._end is None else self._done + len(samples) - self._end
        self._done += len(samples)
        if 0 < over <= len(samples):
            samples, self._kept = samples[: len(samples) - over], samples[len(samples) - over :]
        if len(samples):
            yield samples

    def _fitted(self, frame: av.AudioFrame) -> Floats:
        """Return a frame's samples [n, channels] in the rate and channels of the first: some files change them."""
        samples = _as_floats(frame)
        if not np.isfinite(samples).all():
            raise NotMediaError("it has samples that are not numbers")
        if samples.shape[1] != self._sound.channels:
            mixed = samples.mean(axis=1, keepdims=True, dtype=np.float32)
            samples = np.repeat(mixed, self._sound.channels, axis=1)
        if frame.sample_rate != self._sound.rate:
            samples = np.asarray(soxr.resample(samples, frame.sample_rate, self._sound.rate), np.float32)
        return samples


def _padded_end(sound: Sound) -> int | None:
    """Return the samples that a file states whose last packet is filled up; None where the file says nothing exact."""
    stream = sound_stream(sound._container)
    is_exact = not _EXACT_LENGTH.isdisjoint(sound._container.format.name.split(","))
    if not is_exact or stream is None or not stream.duration or stream.time_base is None:
        return None
    return round(stream.duration * stream.time_base * sound.rate)


def _as_floats(frame: av.AudioFrame) -> Floats:
    """Return a frame's samples [n, channels] as numbers in [-1, 1]."""
    values: Any = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    kind = frame.format.packed.name
    if kind not in _FULL_SCALE:
        return np.ascontiguousarray(values, np.float32)
    scaled = values.astype(np.float64 if kind in ("s32", "s64") else np.float32)
    return np.asarray((scaled - (128.0 if kind == "u8" else 0.0)) / _FULL_SCALE[kind], np.float32)
