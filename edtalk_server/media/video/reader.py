"""Read a video: its pictures at a constant rate, from any moment on, one at a time.

A picture is shown from its time stamp on until the next one's, so what a second shows does not depend on where reading
began, also with variable frame rates. Pictures come upright (phones) and with square pixels.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation

from edtalk_server.arrays import Picture
from edtalk_server.media.containers import NotMediaError, decoded, open_media, picture_stream, start_second
from edtalk_server.media.media_file import Media
from shared_protocol.errors import EDTalkError, ErrorCode

SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg"})
"""Names of videos in a folder of clips, in lower case."""

MAX_SIDE = 8192
"""Largest side of a video in pixels."""
_NTSC = Fraction(1000, 1001)
_USUAL_RATE = Fraction(25)
_FASTEST = 1000
_TINY = Fraction(1, 1_000_000)
"""Seconds that do not count: time stamps are rounded."""
_STEPS_BACK = (0, 2, 20)
"""Seconds before the wanted moment that are tried as the start: containers find key frames only roughly."""
_CHECK_FILE = "Check that it plays in a video player, or convert it to MP4."


class _Timed(NamedTuple):
    """A decoded picture, the seconds at which it begins and ends, and how wide its pixels are for their height."""

    begin: Fraction
    end: Fraction
    frame: av.VideoFrame
    pixel_ratio: Fraction


@dataclass(frozen=True)
class Clip:
    """A video: a file or its bytes, its frame rate, and the duration of its pictures in seconds."""

    source: Media
    fps: Fraction
    duration: float

    @property
    def path(self) -> Path:
        """The file. Raises `TypeError` for a clip in memory."""
        if isinstance(self.source, Path):
            return self.source
        raise TypeError("this clip has no file")

    @classmethod
    def open(cls, source: Media) -> Clip:
        """Read the rate and duration of a video. Raises `EDTalkError(VIDEO_UNREADABLE)`."""
        with _readable(source), open_media(source) as container:
            stream = _stream(container)
            rate = _rate(stream)
            return cls(source, rate, float(_duration(container, stream, rate)))

    def pictures(
        self, begin: float = 0.0, seconds: float | None = None, fps: Fraction | None = None, side: int = 0
    ) -> Generator[Picture, None, None]:
        """Yield the pictures of second `begin + i / fps`, to the video's end or for `seconds`.

        A picture counts from half a period before it begins, so that rounded times find theirs; before the first, the
        first is shown. Larger ones are scaled down to `side` pixels. Close the generator to stop early.
        Raises `EDTalkError(VIDEO_UNREADABLE)` when decoding fails.
        """
        rate, start = fps or self.fps, Fraction(begin).limit_denominator(1_000_000)
        count = None if seconds is None else math.ceil(Fraction(seconds).limit_denominator(1_000_000) * rate)
        ticks = (start + index / rate for index in itertools.islice(itertools.count(), count))
        with _readable(self.source):
            yield from self._at(ticks, start, 1 / (2 * rate), side)

    def picture_at(self, second: float, side: int = 0) -> Picture | None:
        """Return the picture at a second; None after the end."""
        with contextlib.closing(self.pictures(second, side=side)) as pictures:
            return next(pictures, None)

    def _at(
        self, ticks: Iterator[Fraction], start: Fraction, reach: Fraction, side: int
    ) -> Generator[Picture, None, None]:
        """Yield the picture that is shown at each of the rising seconds `ticks`."""
        with contextlib.closing(self._frames(start)) as frames:
            shown, following = next(frames, None), next(frames, None)
            picture: Picture | None = None
            for tick in ticks:
                while following is not None and following.begin < tick + reach:
                    shown, following, picture = following, next(frames, None), None
                is_over = following is None and (shown is None or tick >= self._end(shown) - _TINY)
                if is_over or shown is None:
                    return
                picture = _upright(shown, side) if picture is None else picture
                yield picture

    def _end(self, last: _Timed) -> Fraction:
        return max(last.end, Fraction(self.duration))

    def _frames(self, second: Fraction) -> Generator[_Timed, None, None]:
        """Yield the pictures in their order, from the one that is shown at a second, or an earlier one."""
        for back in _STEPS_BACK:
            if second <= back:
                break
            with open_media(self.source) as container:
                frames = _timed(container, self.fps, second - back)
                first = next(frames, None)
                if first is not None and first.begin <= second and first.frame.pts is not None:
                    yield first
                    yield from frames
                    return
        with open_media(self.source) as container:
            yield from _timed(container, self.fps, None)


def _timed(container: InputContainer, fps: Fraction, start: Fraction | None) -> Iterator[_Timed]:
    """Yield the pictures with their times, from the key frame before second `start`; None for all of them."""
    stream = _stream(container)
    stream.thread_type = "AUTO"
    origin, delay = start_second(container), _delay(container, stream)
    if start is not None and stream.time_base:
        try:
            container.seek(math.floor((start + origin) / stream.time_base), stream=stream)
        except av.FFmpegError:
            return
    begin = -1 / fps
    for frame in decoded(container, stream):
        stamp = frame.dts if frame.pts is None or delay is not None else frame.pts
        stamp = None if stamp is None else stamp - (delay or 0)
        base = frame.time_base or stream.time_base
        begin = begin + 1 / fps if stamp is None or not base else max(begin, stamp * base - origin)
        length = (frame.duration or 0) * (base or 0) or 1 / fps
        yield _Timed(begin, begin + length, frame, stream.sample_aspect_ratio or Fraction(1))


def _delay(container: InputContainer, stream: av.VideoStream) -> int | None:
    """Return by how much an AVI file's stamps, which say when a packet is decoded, are later than its pictures.

    None for other containers, which say when a picture is shown.
    """
    if container.format.name != "avi":
        return None
    first = next(decoded(container, stream), None)
    container.seek(0)
    return None if first is None else first.dts


def _stream(container: InputContainer) -> av.VideoStream:
    stream = picture_stream(container)
    if stream is None:
        raise NotMediaError("there are no moving pictures in it")
    if max(stream.width, stream.height) > MAX_SIDE:
        raise NotMediaError(f"its pictures have more than {MAX_SIDE} pixels a side")
    return stream


def _rate(stream: av.VideoStream) -> Fraction:
    """Return the frame rate: the exact one where the file's is that of a film or broadcast, rounded."""
    rate = Fraction(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
    if not 1 <= rate <= _FASTEST:
        return _USUAL_RATE
    usual = (Fraction(round(rate)), round(rate) * _NTSC)
    nearest = min(usual, key=lambda one: abs(one - rate))
    return nearest if abs(nearest - rate) < Fraction(1, 200) else rate


def _duration(container: InputContainer, stream: av.VideoStream, rate: Fraction) -> Fraction:
    """Return when the last picture ends, from all packets: headers are often wrong. Decodes nothing."""
    base, origin = stream.time_base or 1 / rate, start_second(container)
    end, count = Fraction(0), 0
    with contextlib.suppress(av.FFmpegError):  # the rest of the file cannot be taken apart
        for packet in container.demux(stream):
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.size == 0 or packet.is_discard:
                continue
            count += 1
            if stamp is not None:
                end = max(end, stamp * base - origin + ((packet.duration or 0) * base or 1 / rate))
    if not count:
        raise NotMediaError("there are no pictures in it")
    return end or count / rate


def _upright(timed: _Timed, side: int) -> Picture:
    """Return a picture, RGB uint8 [H, W, 3], upright, with square pixels, at most `side` a side (0: as it is)."""
    pixels: Any = timed.frame.to_ndarray(format="rgb24", interpolation=Interpolation.BICUBIC)
    height, width = pixels.shape[0], math.ceil(pixels.shape[1] * timed.pixel_ratio)
    if width != pixels.shape[1]:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    if side and max(width, height) > side:
        scale = side / max(width, height)
        smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(pixels, round(timed.frame.rotation / 90)), np.uint8)


@contextlib.contextmanager
def _readable(source: Media) -> Iterator[None]:
    """Turn what goes wrong while reading into an error for people."""
    try:
        yield
    except (NotMediaError, OSError, av.FFmpegError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        cause = f"The video cannot be read ({why})."
        if isinstance(source, Path):
            cause = f"The video “{source.name}” cannot be read ({why})."
        raise EDTalkError(ErrorCode.VIDEO_UNREADABLE, cause, _CHECK_FILE) from error
