"""Files of every kind that artists bring, made with PyAV: sounds, videos, and what is wrong with them."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

RATE = 44_100


def tone(seconds: float = 1.0, rate: int = RATE) -> npt.NDArray[np.float32]:
    """A sweep with syllables, [n]: each moment differs, so that shifts are seen."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * (150 + 200 * t) * t) * (0.55 + 0.45 * np.sin(20 * t))).astype(np.float32)


def sound_file(
    samples: npt.NDArray[np.float32], kind: str, codec: str, rate: int = RATE, layout: str = "mono"
) -> bytes:
    """The bytes of a sound file: `samples` [n] or [channels, n], FFmpeg's names of container and codec."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if codec in ("aac", "wmav2"):
            stream.bit_rate = 192_000
        _encode_sound(container, stream, np.atleast_2d(samples), rate, layout)
    return file.getvalue()


def _encode_sound(container, stream, samples, rate, layout) -> None:  # type: ignore[no-untyped-def]
    resampler = av.AudioResampler(stream.codec_context.format, layout, stream.rate)
    for start in range(0, samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", layout
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for ready in resampler.resample(frame):
            container.mux(stream.encode(ready))
    for ready in resampler.resample(None):
        container.mux(stream.encode(ready))
    container.mux(stream.encode(None))


def wav(channels: npt.NDArray[np.float32], rate: int = RATE) -> bytes:
    """A WAV file of 16 bits from [n] or [channels, n], with plain headers."""
    rows = np.atleast_2d(channels)
    data = np.round(np.clip(rows.T, -1, 1) * 32767).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, len(rows), rate, rate * 2 * len(rows), 2 * len(rows), 16)
    return b"".join(
        (
            *(b"RIFF", struct.pack("<I", 36 + len(data)), b"WAVEfmt ", struct.pack("<I", 16), form),
            *(b"data", struct.pack("<I", len(data)), data),
        )
    )


def tag(size: int) -> bytes:
    """An ID3v2 tag with a cover of random bytes."""
    body = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    body = b"APIC" + struct.pack(">I", size) + b"\0\0" + body
    return b"ID3\3\0\0" + bytes((len(body) >> shift) & 127 for shift in (21, 14, 7, 0)) + body


def pictures(count: int, height: int = 48, width: int = 64) -> list[npt.NDArray[np.uint8]]:
    """Pictures whose brightness says their number: 5, 15, 25, ..."""
    return [np.full((height, width, 3), 5 + 10 * number % 250, np.uint8) for number in range(count)]


def number_of(picture: npt.NDArray[np.uint8]) -> int:
    """The number of one of `pictures`."""
    return round((float(picture.mean()) - 5) / 10)


def write_film(
    path: Path,
    frames: Sequence[npt.NDArray[np.uint8]],
    fps: int,
    sound: npt.NDArray[np.float32] | None = None,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    kind: str | None = None,
    turned: float = 0.0,
) -> None:
    """Write a video; `times`: the seconds of its pictures, where they are not regular."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", format=kind) as container:
        video = container.add_stream(codec, rate=fps)
        video.width, video.height = width, height
        form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        video.pix_fmt = form
        base = Fraction(1, 1000) if times else Fraction(1, fps)
        video.codec_context.time_base = base
        if turned:
            video.set_display_rotation(turned)
        voice = container.add_stream("aac", rate=RATE, layout="mono") if sound is not None else None
        if voice is not None:
            voice.bit_rate = 192_000
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=form)
            frame.pts, frame.time_base = round(times[index] * 1000) if times else index, base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if voice is not None:
            _encode_sound(container, voice, np.atleast_2d(sound), RATE, "mono")
