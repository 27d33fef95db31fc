"""Read a video: its pictures at a constant rate, from any moment on, one at a time.

ffmpeg decodes (also variable frame rates, rotated phone videos, non-square pixels) and passes on pictures that carry
their own size. Only video containers are opened, so that a play list cannot make us read other files.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, cast

import imageio_ffmpeg
import numpy as np

from edtalk_server.arrays import Picture
from shared_protocol.errors import EDTalkError, ErrorCode

SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg"})
"""Names of videos in a folder of clips, in lower case."""

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,mxf,ogg,gif,apng,dv,ivf,nut"
)
_NTSC = Fraction(1000, 1001)
_USUAL_RATE = Fraction(25)
_FASTEST = 1000
_CHECK_FILE = "Check that it plays in a video player, or convert it to MP4."


@dataclass(frozen=True)
class Clip:
    """A video file: its frame rate, and the duration of its pictures in seconds."""

    path: Path
    fps: Fraction
    duration: float

    @classmethod
    def open(cls, path: Path) -> Clip:
        """Read the rate and duration of a video file. Raises `EDTalkError(VIDEO_UNREADABLE)`."""
        count = [
            *input_arguments(path, 0.0, "info"),
            "-map",
            "0:v:0",
            "-c",
            "copy",
            "-f",
            "null",
            "-",
        ]  # decodes nothing
        done = subprocess.run(count, capture_output=True, check=False)
        output = done.stderr.decode("utf-8", "replace")
        stream = re.search(r"Stream #.*Video: (.*)", output)
        if done.returncode != 0 or stream is None:
            raise _unreadable(path, output.strip().splitlines()[-1] if output else "ffmpeg stopped")
        rate, counted = _rate(stream[1]), re.findall(r"frame= *(\d+)", output)
        times = re.findall(r"time=(\d+):(\d+):(\d+(?:\.\d+)?)", output)
        hours, minutes, seconds = map(float, times[-1]) if times else (0.0, 0.0, 0.0)
        length = (
            int(counted[-1]) / float(rate) if counted else 0.0
        )  # the last time may be a few pictures early
        return cls(path, rate, max(length, hours * 3600 + minutes * 60 + seconds))

    def pictures(
        self, begin: float = 0.0, seconds: float | None = None, fps: Fraction | None = None, side: int = 0
    ) -> Generator[Picture, None, None]:
        """Yield the pictures nearest to second `begin + i / fps`, to the video's end or for `seconds`.

        Larger ones are scaled down to `side` pixels. Close the generator to stop early.
        Raises `EDTalkError(VIDEO_UNREADABLE)` when decoding fails.
        """
        rate = fps or self.fps
        filters = ["scale=w='ceil(iw*sar)':h=ih,setsar=1"]  # square pixels
        if side:
            limits = f"w='min(iw,{side})':h='min(ih,{side})'"
            filters.append(f"scale={limits}:force_original_aspect_ratio=decrease:flags=area")
        filters.append(f"fps=fps={rate.numerator}/{rate.denominator}:start_time=0:round=near")
        until = [] if seconds is None else ["-t", f"{max(seconds, 0.0):.6f}"]
        output = ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "pipe:1"]
        command = [
            *input_arguments(self.path, begin),
            *until,
            "-map",
            "0:v:0",
            "-vf",
            ",".join(filters),
            *output,
        ]
        yield from _decoded(command, self.path)

    def picture_at(self, second: float, side: int = 0) -> Picture | None:
        """Return the picture at a second; None after the end."""
        with contextlib.closing(self.pictures(second, side=side)) as pictures:
            return next(pictures, None)


def input_arguments(
    path: Path, begin: float = 0.0, loglevel: str = "error", also: Sequence[str] = ()
) -> list[str]:
    """Return the start of ffmpeg's command, which opens a video file and nothing that a play list might name. `also`
    are further formats of ffmpeg's to open."""
    seek = ["-ss", f"{begin:.6f}"] if begin > 0 else []
    start = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-loglevel", loglevel]
    return [*start, *seek, "-format_whitelist", ",".join([_CONTAINERS, *also]), "-i", str(path)]


def _rate(stream: str) -> Fraction:
    """Return the frame rate from ffmpeg's line about a stream, which rounds the broadcast rates."""
    match = re.search(r"(\d+(?:\.\d+)?) fps", stream) or re.search(r"(\d+(?:\.\d+)?) tbr", stream)
    rate = Fraction(match[1]) if match else _USUAL_RATE
    if not 1 <= rate <= _FASTEST:
        return _USUAL_RATE
    broadcast = round(rate) * _NTSC
    return broadcast if rate.denominator != 1 and abs(rate - broadcast) < Fraction(1, 100) else rate


def _decoded(command: list[str], path: Path) -> Generator[Picture, None, None]:
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            start_new_session=True,
        ) as process,
    ):
        try:
            pipe, count = cast(IO[bytes], process.stdout), 0
            while (picture := _next_picture(pipe)) is not None:
                count += 1
                yield picture
            if process.wait() != 0 and not count:
                messages.seek(0)
                lines = messages.read().decode("utf-8", "replace").strip().splitlines()
                raise _unreadable(path, lines[-1] if lines else "ffmpeg stopped")
        finally:
            process.kill()


def _next_picture(pipe: IO[bytes]) -> Picture | None:
    """Read one PPM picture: three lines of text, then the pixels. None at the end."""
    if pipe.readline() != b"P6\n":
        return None
    width, height = (int(number) for number in pipe.readline().split())
    pipe.readline()  # 255
    data = pipe.read(width * height * 3)
    if len(data) < width * height * 3:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _unreadable(path: Path, why: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.VIDEO_UNREADABLE, f"The video “{path.name}” cannot be read ({why}).", _CHECK_FILE
    )
