"""Frames and a voice as one movie: H.264 and AAC in MP4, at the exact frame rate, marked as synthetic."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from edtalk_server.media.provenance import movie_arguments
from edtalk_server.media.video.sequence import disk_error, make_folder
from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

_PATIENCE_S = 0.05
_QUALITY = "17"
"""x264's constant rate factor; 17 looks lossless."""


class MovieWriter:
    """Streams frames into `path`; the file appears when the writer is closed without an error.

    `fps` is exact. `sound` (a file) begins at second `sound_offset` of the movie, which cuts its beginning if negative;
    it is cut or padded to the pictures. Raises `EDTalkError(DISK)` if the folder or the disk does not allow it.
    """

    def __init__(
        self,
        path: Path | str,
        fps: Fraction,
        size: tuple[int, int],
        sound: Path | None = None,
        sound_offset: float = 0.0,
    ) -> None:
        self._path = Path(path)
        self._width, self._height = size
        self._closed = False
        make_folder(self._path.parent)
        self._partial = atomic_write.partial_path(self._path, _partial_suffix(self._path))
        self._open_for_writing()
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the writer)
        self._process = subprocess.Popen(
            [
                imageio_ffmpeg.get_ffmpeg_exe(),
                *_arguments(fps, size, sound, sound_offset),
                str(self._partial),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._messages,
            start_new_session=True,  # Ctrl-C reaches us alone; we stop ffmpeg
        )
        self._input = cast(IO[bytes], self._process.stdin)

    def _open_for_writing(self) -> None:
        """Fail before hours of work rather than after them."""
        try:
            if self._path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._partial.write_bytes(b"")
        except OSError as error:
            raise disk_error(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def write(self, frame: npt.NDArray[np.uint8]) -> None:
        """Write the next frame, uint8 [height, width, 3] RGB."""
        if frame.shape != (self._height, self._width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"expected a frame of {self._width} x {self._height}, got {frame.shape}")
        try:
            self._input.write(frame.tobytes())
        except BrokenPipeError as error:
            raise self._failed() from error

    def close(self) -> None:
        """Finish the movie and move it to its place."""
        for _ in self.closing():
            pass

    def closing(self) -> Iterator[None]:
        """Close as `close` does, in steps of at most about 50 ms: ffmpeg may work for seconds."""
        if self._closed:
            return
        with contextlib.suppress(BrokenPipeError):  # the exit status below says what happened
            self._input.close()
        while True:
            try:
                status = self._process.wait(_PATIENCE_S)
                break
            except subprocess.TimeoutExpired:
                yield
        if status != 0:
            raise self._failed()
        self._messages.close()
        self._closed = True
        try:
            self._partial.replace(self._path)
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise disk_error(self._path, error) from error

    def abandon(self) -> None:
        """Stop, and leave no movie."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._messages.close()
        self._partial.unlink(missing_ok=True)

    def _failed(self) -> EDTalkError:
        self._process.wait()
        self._messages.seek(0)
        lines = self._messages.read().decode("utf-8", "replace").strip().splitlines()
        self.abandon()
        return EDTalkError(
            ErrorCode.DISK,
            f"The movie “{self._path.name}” could not be written ({lines[-1] if lines else 'ffmpeg stopped'}).",
            "Check that the disk is not full and that the file is not open elsewhere.",
        )


def mark_movie(path: Path) -> None:
    """Add the mark to a movie that another program (Blender, say) wrote; sound and pictures stay as they are.

    Raises `EDTalkError(DISK)` when the movie cannot be read or written.
    """
    with atomic_write.replacing(path, suffix=_partial_suffix(path)) as partial:
        _copy_with_mark(path, partial)


def _copy_with_mark(path: Path, target: Path) -> None:
    copy = ["-i", str(path), "-map", "0", "-c", "copy", "-movflags", "+faststart", *movie_arguments()]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-nostdin", "-y", *copy, str(target)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise EDTalkError(
            ErrorCode.DISK,
            f"The movie “{path.name}” could not be marked as synthetic ({lines[-1] if lines else 'ffmpeg stopped'}).",
            "Check that it is a movie and that its folder can be written.",
        )


def _partial_suffix(path: Path) -> str:
    """Return the end of an unfinished movie's name: ffmpeg chooses the format by it."""
    return f"{atomic_write.SUFFIX}{path.suffix or '.mp4'}"


def _arguments(fps: Fraction, size: tuple[int, int], sound: Path | None, sound_offset: float) -> list[str]:
    """Return ffmpeg's arguments without the output: raw frames on standard input, colours as video players expect."""
    rate = f"{fps.numerator}/{fps.denominator}"
    pictures = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{size[0]}x{size[1]}",
        "-framerate",
        rate,
        "-i",
        "pipe:0",
    ]
    # H.264 halves the colour resolution, so odd sizes get a further row or column.
    to_video = "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv,"
    to_video += "setparams=color_primaries=bt709:color_trc=bt709,format=yuv420p"
    colours = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    encoder = ["-c:v", "libx264", "-preset", "medium", "-crf", _QUALITY, "-movflags", "+faststart"]
    audio = [] if sound is None else ["-i", str(sound)]
    mapping = ["-map", "0:v"] + (
        []
        if sound is None
        else ["-map", "1:a:0", "-c:a", "aac", "-af", _sound_filter(sound_offset), "-shortest"]
    )
    start = ["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    return [*start, *pictures, *audio, *mapping, "-vf", to_video, *encoder, *colours, *movie_arguments()]


def _sound_filter(offset: float) -> str:
    """Return the filter that starts a sound at a second of the movie, with silence before and after it."""
    if offset < 0:
        return f"atrim=start={-offset:.6f},asetpts=PTS-STARTPTS,apad"
    return f"adelay=delays={offset * 1000:.3f}:all=1,apad" if offset else "apad"
