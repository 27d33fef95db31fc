"""The sound beside pictures: that of a video as a file of mono samples at 16 kHz, and that of a movie to be written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soxr

from edtalk_server.arrays import Floats
from edtalk_server.media.audio.decoding import Sound, open_sound
from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.audio.mixing import Mixer
from edtalk_server.media.audio.mono import read_mono, regrouped
from edtalk_server.media.containers import NotMediaError

MOVIE_RATES = frozenset((96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000))
"""Samples a second that AAC knows."""
_OTHER_RATE = 48000
_MOVIE_LAYOUTS = {
    "mono",
    "stereo",
    "2.1",
    "3.0",
    "4.0",
    "quad",
    "5.0",
    "5.0(side)",
    "5.1",
    "5.1(side)",
    "6.1",
    "7.1",
}
"""Places of channels that a movie keeps; others are mixed."""
_BLOCK = 1 << 16
"""Samples that are decoded together for a movie."""


def extract_sound(source: Path, target: Path, seconds: float) -> bool:
    """Write the first `seconds` of `source`'s sound to `target`, a FLAC file of 16 bits. False without a sound.

    Second 0 of the sound is second 0 of the pictures: silence fills gaps at the start and the end.
    """
    try:
        samples = read_mono(source, lambda _: None, from_start=True)
    except (NotMediaError, OSError):
        return False
    count = round(seconds * SAMPLE_RATE)
    samples = np.pad(samples[:count], (0, max(0, count - len(samples))))
    write_flac(target, samples)
    return True


def write_flac(path: Path, samples: npt.ArrayLike) -> None:
    """Write mono samples [n] in [-1, 1] at 16 kHz as a FLAC file of 16 bits. Raises `OSError`."""
    values = np.rint(np.clip(np.asarray(samples) * 32768.0, -32768, 32767)).astype(np.int16)
    with path.open("wb") as file, av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        for start in range(0, len(values), _BLOCK):
            frame = av.AudioFrame.from_ndarray(values[None, start : start + _BLOCK], "s16", "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class Soundtrack:
    """A sound file as a movie plays it: it begins at second `offset` of the movie, with silence before and after it.

    A negative `offset` cuts its beginning. `rate` and `layout` are those of the samples: channels with known places are
    kept, a recorder's tracks are mixed. Raises `NotMediaError`, or `OSError` for a file that cannot be read.
    """

    def __init__(self, path: Path, offset: float) -> None:
        self._open = contextlib.ExitStack()
        try:
            mixer = _mixer_of(path)
            sound = self._open.enter_context(open_sound(path))
        except BaseException:
            self._open.close()
            raise
        self.rate = sound.rate if sound.rate in MOVIE_RATES else _OTHER_RATE
        self.layout = "mono" if mixer else _layout_of(sound)
        self.channels = 1 if mixer else sound.channels
        self._done = 0
        self._waiting = np.zeros((max(0, round(offset * self.rate)), self.channels), np.float32)
        self._blocks = self._converted(sound, mixer, max(0, round(-offset * sound.rate)))

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def until(self, second: Fraction) -> Floats:
        """Return the next samples, float32 [n, channels], up to a second of the movie."""
        count = round(second * self.rate) - self._done
        while len(self._waiting) < count:
            block = next(self._blocks, None)
            if block is None:
                missing = count - len(self._waiting)
                block = np.zeros((missing, self.channels), np.float32)
            self._waiting = np.concatenate([self._waiting, block])
        samples, self._waiting = self._waiting[:count], self._waiting[count:]
        self._done += len(samples)
        return samples

    def _converted(self, sound: Sound, mixer: Mixer | None, skipped: int) -> Iterator[Floats]:
        stream = None
        if sound.rate != self.rate:
            stream = soxr.ResampleStream(sound.rate, self.rate, self.channels, dtype="float32", quality="HQ")
        for block in regrouped(sound.blocks(), _BLOCK):
            kept, skipped = block[skipped:], max(0, skipped - len(block))
            mixed = mixer.again(kept)[:, None] if mixer else kept
            yield stream.resample_chunk(mixed) if stream else mixed
        if stream:
            yield stream.resample_chunk(np.zeros((0, self.channels), np.float32), last=True)


def _layout_of(sound: Sound) -> str:
    return {1: "mono", 2: "stereo"}.get(sound.channels, sound.layout)


def _mixer_of(path: Path) -> Mixer | None:
    """Return how to mix a file's tracks, for which all of it is read once; None where its channels are kept."""
    with open_sound(path) as sound:
        if _layout_of(sound) in _MOVIE_LAYOUTS:
            return None
        mixer = Mixer(sound.channels)
        for block in sound.blocks():
            mixer.add(block)
        return mixer
