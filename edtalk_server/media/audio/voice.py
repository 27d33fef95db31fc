"""A voice: any sound file as mono samples at 16 kHz, read and resampled in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from edtalk_server.arrays import Floats
from edtalk_server.media.audio.mel import SAMPLE_RATE, SAMPLES_PER_FRAME
from edtalk_server.media.audio.mono import read_mono
from edtalk_server.media.containers import NotMediaError
from edtalk_server.media.media_file import Media
from edtalk_server.media.steps import Checkpoint, unwatched
from shared_protocol.errors import EDTalkError, ErrorCode

MAX_SECONDS = 2 * 3600
"""Longest voice in seconds; two hours are 460 MB of samples."""
_CONVERT = "Check that it plays in a sound player, or save it as WAV with a sound editor."


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


def load_voice(source: Path | str | bytes, checkpoint: Checkpoint = unwatched) -> Waveform:
    """Read a file with sound (a path or its bytes: whatever FFmpeg decodes, also a video) as mono at 16 kHz.

    Channels are averaged, without those that are silent; where they cancel each other out, the loudest is taken.
    `checkpoint` is called between pieces of work.
    Raises `EDTalkError`: `AUDIO_UNREADABLE` (missing, no sound file, damaged), `AUDIO_EMPTY` (shorter than a frame of
    40 ms), `TOO_LARGE` (over two hours).
    """
    name = "The voice" if isinstance(source, bytes) else f"The voice “{Path(source).name}”"
    media: Media = source if isinstance(source, bytes) else Path(source)
    try:
        _check_not_empty(media, name)
        samples = read_mono(media, partial(_check_length, name, checkpoint))
    except OSError as error:
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE,
            f"{name} could not be opened ({error.strerror or error}).",
            "Check that the file exists and that you may read it.",
        ) from error
    except NotMediaError as error:
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE, f"{name} is not a sound file or is damaged ({error}).", _CONVERT
        ) from error
    if len(samples) < SAMPLES_PER_FRAME:
        raise EDTalkError(
            ErrorCode.AUDIO_EMPTY,
            f"{name} holds no sound (less than 40 milliseconds).",
            "Choose a file with speech in it.",
        )
    return Waveform(samples)


def _check_not_empty(media: Media, name: str) -> None:
    if isinstance(media, Path) and not media.is_file():
        return  # opening it says why
    if not (media.stat().st_size if isinstance(media, Path) else len(media)):
        raise EDTalkError(
            ErrorCode.AUDIO_EMPTY, f"{name} is an empty file.", "Choose a file with speech in it."
        )


def _check_length(name: str, checkpoint: Checkpoint, seconds: Fraction) -> None:
    checkpoint(int(seconds), 0, "reading the voice")
    if seconds > MAX_SECONDS:
        raise EDTalkError(
            ErrorCode.TOO_LARGE, f"{name} is longer than two hours.", "Cut it into shorter pieces."
        )
