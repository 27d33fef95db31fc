"""Frames and a voice as one movie: H.264 and AAC in MP4, at the exact frame rate, marked as synthetic."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from edtalk_server.arrays import Floats, Picture
from edtalk_server.media.audio.soundtrack import Soundtrack
from edtalk_server.media.containers import NotMediaError, open_media, reason
from edtalk_server.media.provenance import movie_mark
from edtalk_server.media.video.sequence import disk_error, make_folder
from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

_ENCODER = {"preset": "medium", "crf": "17"}  # 17 looks lossless
_SOUND_BITS = 96_000
"""Bits a second for each channel of sound."""
_SOUND_PACKET = 1024
"""Samples of an AAC packet."""
_FORMATS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".ts": "mpegts",
    ".flv": "flv",
    ".ogv": "ogg",
    ".ogg": "ogg",
}
"""Containers by the ends of names."""
_WITH_INDEX = (".mp4", ".m4v", ".mov")
_READ = 1
"""FFmpeg's flag of a file that is only read."""


class MovieWriter:
    """Streams frames into `path`; the file appears when the writer is closed without an error.

    `fps` is exact. `sound` (a file) begins at second `sound_offset` of the movie, which cuts its beginning if negative;
    it is cut or padded to the pictures. A symbolic link stays, and what it points to is replaced.
    Raises `EDTalkError`: DISK if the folder or the disk does not allow it, AUDIO_UNREADABLE.
    """

    def __init__(
        self,
        path: Path | str,
        fps: Fraction,
        size: tuple[int, int],
        sound: Path | None = None,
        sound_offset: float = 0.0,
    ) -> None:
        self._path = _followed(Path(path))
        self._width, self._height = size
        self._fps, self._count = fps, 0
        self._closed = False
        make_folder(self._path.parent)
        self._partial = atomic_write.partial_path(self._path)
        self._file = self._open_for_writing()
        self._sound_path, self._samples, self._soundtrack = sound, 0, None
        self._movie = _new_movie(self._file, self._partial, self._path)
        with self._errors():
            self._soundtrack = None if sound is None else _soundtrack(sound, sound_offset)
            self._pictures = _add_pictures(self._movie, fps, size)
            track = self._soundtrack
            self._sound = None if track is None else _add_sound(self._movie, track)
        channels = self._soundtrack.channels if self._soundtrack else 0
        self._unpacked = np.zeros((0, channels), np.float32)

    def _open_for_writing(self) -> IO[bytes]:
        """Fail before hours of work rather than after them."""
        try:
            if self._path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return self._partial.open("wb", buffering=0)
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
        picture = _video_frame(frame)
        picture.pts, picture.time_base = self._count, 1 / self._fps
        self._count += 1
        with self._errors():
            self._movie.mux(self._pictures.encode(picture))
            self._write_sound(is_last=False)

    def close(self) -> None:
        """Finish the movie and move it to its place."""
        for _ in self.closing():
            pass

    def closing(self) -> Iterator[None]:
        """Close as `close` does, in small steps: the encoder still holds many pictures."""
        if self._closed:
            return
        packets = self._pictures.encode_lazy(None)
        while True:
            with self._errors():
                packet = next(packets, None)
                if packet is None:
                    break
                self._movie.mux(packet)
            yield
        with self._errors():
            self._write_sound(is_last=True)
            self._movie.close()
        self._close_files()
        self._closed = True
        try:
            self._partial.replace(self._path)
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise disk_error(self._path, error) from error

    def abandon(self) -> None:
        """Stop, and leave no movie."""
        with contextlib.suppress(av.FFmpegError, OSError):  # nobody wants it
            self._movie.close()
        self._close_files()
        self._partial.unlink(missing_ok=True)

    def _write_sound(self, is_last: bool) -> None:
        """Write the sound up to the end of the pictures so far, in whole packets unless it `is_last`."""
        track = self._soundtrack
        if track is None or self._sound is None:
            return
        samples = np.concatenate([self._unpacked, track.until(self._count / self._fps)])
        whole = len(samples) if is_last else len(samples) // _SOUND_PACKET * _SOUND_PACKET
        for start in range(0, whole, _SOUND_PACKET):
            frame = _audio_frame(samples[start : start + _SOUND_PACKET], track, self._samples)
            self._samples += frame.samples
            self._movie.mux(self._sound.encode(frame))
        self._unpacked = samples[whole:]
        if is_last:
            self._movie.mux(self._sound.encode(None))

    def _close_files(self) -> None:
        if self._soundtrack is not None:
            self._soundtrack.close()
        self._file.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what goes wrong while encoding into an error for people, and leave no movie."""
        try:
            yield
        except (av.FFmpegError, OSError, NotMediaError) as error:
            self.abandon()
            if isinstance(error, NotMediaError):
                raise _bad_sound(self._sound_path, error) from error
            raise _not_written(self._path, error) from error


def _soundtrack(path: Path, offset: float) -> Soundtrack:
    try:
        return Soundtrack(path, offset)
    except OSError as error:
        raise NotMediaError(reason(error)) from error


def _bad_sound(path: Path | None, error: Exception) -> EDTalkError:
    return EDTalkError(
        ErrorCode.AUDIO_UNREADABLE,
        f"The sound “{path.name if path else ''}” cannot be read ({reason(error)}).",
        "Check that it plays in a sound player, or save it as WAV with a sound editor.",
    )


def _not_written(path: Path, error: Exception) -> EDTalkError:
    return EDTalkError(
        ErrorCode.DISK,
        f"The movie “{path.name}” could not be written ({reason(error)}).",
        "Check that the disk is not full and that the file is not open elsewhere.",
    )


def _followed(path: Path) -> Path:
    """Return what a symbolic link points to, or the path itself."""
    try:
        return path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError):  # links in a circle: writing says so
        return path


def _new_movie(file: IO[bytes], path: Path, name: Path) -> OutputContainer:
    """Begin a movie in an opened, unbuffered `file` at `path`; `name` ends as its format does.

    FFmpeg gets no path, so that it cannot misread one. It opens the file once more to move its index to the front.
    """

    def again(url: str, flags: int, options: dict[str, str]) -> IO[bytes]:
        return path.open("rb" if flags == _READ else "r+b", buffering=0)

    ending = name.suffix.lower()
    movie = av.open(
        file,
        "w",
        format=_FORMATS.get(ending, "mp4"),
        options={"movflags": "+faststart"} if ending in _WITH_INDEX else {},
        io_open=again,
    )
    movie.metadata.update(movie_mark())
    return movie


def _add_pictures(movie: OutputContainer, fps: Fraction, size: tuple[int, int]) -> av.VideoStream:
    stream = movie.add_stream("libx264", rate=fps, options=_ENCODER)
    stream.width, stream.height = (side + side % 2 for side in size)
    stream.pix_fmt = "yuv420p"
    coder = stream.codec_context
    coder.time_base = 1 / fps
    coder.color_primaries, coder.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    coder.colorspace, coder.color_range = Colorspace.ITU709, ColorRange.MPEG
    return stream


def _add_sound(movie: OutputContainer, track: Soundtrack) -> av.AudioStream:
    stream = movie.add_stream("aac", rate=track.rate, layout=track.layout)
    stream.bit_rate = min(_SOUND_BITS, 5 * track.rate) * track.channels
    return stream


def _video_frame(picture: Picture) -> av.VideoFrame:
    """Return a picture as H.264 has it: half the colour resolution, so that odd sizes get their edge once more."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
    )


def _audio_frame(samples: Floats, track: Soundtrack, first: int) -> av.AudioFrame:
    """Return samples [n, channels] as a frame that begins with sample `first` of the movie."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", track.layout)
    frame.sample_rate, frame.pts, frame.time_base = track.rate, first, Fraction(1, track.rate)
    return frame


def mark_movie(path: Path) -> None:
    """Add the mark to a movie that another program (Blender, say) wrote; sound and pictures stay as they are.

    Raises `EDTalkError(DISK)` when the movie cannot be read or written.
    """
    place = _followed(path)
    try:
        with atomic_write.replacing(place) as partial:
            _copy_with_mark(place, partial)
    except (av.FFmpegError, NotMediaError, OSError) as error:
        raise EDTalkError(
            ErrorCode.DISK,
            f"The movie “{path.name}” could not be marked as synthetic ({reason(error)}).",
            "Check that it is a movie and that its folder can be written.",
        ) from error


def _copy_with_mark(path: Path, target: Path) -> None:
    with (
        open_media(path) as source,
        target.open("wb", buffering=0) as file,
        _new_movie(file, target, path) as movie,
    ):
        movie.metadata.update(source.metadata | movie_mark())
        streams = {
            stream.index: movie.add_stream_from_template(stream)
            for stream in source.streams
            if stream.type in ("video", "audio", "subtitle")
        }
        for packet in source.demux(*(source.streams[index] for index in streams)):
            if packet.dts is not None:  # the last packet of each stream is empty
                packet.stream = streams[packet.stream_index]
                movie.mux(packet)
