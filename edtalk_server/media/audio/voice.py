"""A voice: any sound file as mono samples at 16 kHz, read and resampled in blocks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from edtalk_server.arrays import Floats
from edtalk_server.media.audio.mel import SAMPLE_RATE, SAMPLES_PER_FRAME
from shared_protocol.errors import EDTalkError, ErrorCode

MAX_SECONDS = 2 * 3600
"""Longest voice in seconds; two hours are 460 MB of samples."""

_BLOCK_SECONDS = 10
"""Seconds that are read and resampled together."""
_CONVERT = "Save it as WAV, FLAC, OGG or MP3 with a sound editor and try again."


@dataclass(frozen=True)
class Waveform:
    """A voice: `samples` float32 [n], mono, 16 kHz, nominally in [-1, 1]; read-only."""

    samples: Floats

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError("a waveform is one channel of float32 samples")
        self.samples.flags.writeable = False

    @property
    def duration(self) -> Fraction:
        """Length in seconds, exactly."""
        return Fraction(len(self.samples), SAMPLE_RATE)


def load_voice(source: Path | str | bytes) -> Waveform:
    """Read a sound file (a path or its bytes: WAV, FLAC, OGG, MP3, AIFF) as mono at 16 kHz; channels are averaged.

    Raises `EDTalkError`: `AUDIO_UNREADABLE` (missing, no sound file, damaged), `AUDIO_EMPTY` (shorter than a frame of
    40 ms), `TOO_LARGE` (over two hours).
    """
    name = "The voice" if isinstance(source, bytes) else f"The voice “{Path(source).name}”"
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as data:
            samples = _read(data, name)
    except OSError as error:
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE,
            f"{name} could not be opened ({error.strerror or error}).",
            "Check that the file exists and that you may read it.",
        ) from error
    if len(samples) < SAMPLES_PER_FRAME:
        raise EDTalkError(
            ErrorCode.AUDIO_EMPTY,
            f"{name} holds no sound (less than 40 milliseconds).",
            "Choose a file with speech in it.",
        )
    return Waveform(samples)


def _read(data: BinaryIO, name: str) -> Floats:
    if not data.seek(0, io.SEEK_END):
        raise EDTalkError(
            ErrorCode.AUDIO_EMPTY, f"{name} is an empty file.", "Choose a file with speech in it."
        )
    data.seek(0)
    try:
        with soundfile.SoundFile(data) as file:
            if file.frames > MAX_SECONDS * file.samplerate:
                raise EDTalkError(
                    ErrorCode.TOO_LARGE, f"{name} is longer than two hours.", "Cut it into shorter pieces."
                )
            pieces = list(_resampled(file))
    except (soundfile.LibsndfileError, ValueError) as error:
        reason = str(error).removeprefix(f"Error opening {data!r}: ")
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE, f"{name} is not a sound file or is damaged ({reason}).", _CONVERT
        ) from error
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if not np.isfinite(samples).all():
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE, f"{name} is damaged: it has samples that are not numbers.", _CONVERT
        )
    return samples


def _resampled(file: soundfile.SoundFile) -> Iterator[Floats]:
    """Yield the file in blocks of 10 seconds, mono, at 16 kHz (soxr HQ, which is also librosa's default)."""
    block = _BLOCK_SECONDS * file.samplerate
    stream = soxr.ResampleStream(file.samplerate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    same_rate = file.samplerate == SAMPLE_RATE
    while True:
        channels = file.read(block, dtype="float32", always_2d=True)
        mono = channels.mean(axis=1, dtype=np.float32)
        last = len(channels) < block
        yield mono if same_rate else stream.resample_chunk(mono, last=last)
        if last:
            return
