"""A file of sound or video for the decoder: from a path or from memory, without junk in front of it."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from shared_protocol.codec import Buffer

Media = Path | Buffer
"""A file, or the bytes of one."""

_ZEROS = 16
"""Zero bytes in front of a sound that are taken for junk: no format begins with so many."""
_BLOCK = 1 << 16


class MediaFile(Protocol):
    """What the decoder needs of a file."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


@contextlib.contextmanager
def media_file(source: Media) -> Iterator[MediaFile]:
    """Open a file, or its bytes, at the start of the sound or video. Raises `OSError`.

    Broken downloads and tag editors put zeros or several ID3v2 tags in front of a sound; decoders stumble over them.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(regular_file(source)) if isinstance(source, Path) else _BytesFile(source)
        start = _junk(file)
        file.seek(0)
        yield _Tail(file, start) if start else file


def regular_file(path: Path) -> io.BufferedReader:
    """Open a file for reading. Raises `OSError`, also for a pipe or a device, which might never end."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")


class _BytesFile:
    """Bytes as a file to read, without a copy of them: a video may have hundreds of megabytes."""

    def __init__(self, data: Buffer) -> None:
        self._data, self._place = memoryview(data), 0

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, len(self._data))[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        piece = bytes(self._data[self._place : None if size < 0 else self._place + size])
        self._place += len(piece)
        return piece


class _Tail:
    """A file without its first `start` bytes."""

    def __init__(self, file: MediaFile, start: int) -> None:
        self._file, self._start = file, start
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        added = self._start if whence == io.SEEK_SET else 0
        return self._file.seek(offset + added, whence) - self._start


def _junk(file: MediaFile) -> int:
    """Return how many bytes of zeros and tags lie in front of a sound; 0 for a single tag, which decoders know."""
    place, tags, has_zeros = 0, 0, False
    while True:
        file.seek(place)
        head = file.read(_ZEROS)
        if head.startswith(b"ID3") and len(head) > 10:
            place, tags = place + _tag_length(head), tags + 1
        elif head == bytes(_ZEROS):
            place, has_zeros = _after_zeros(file, place), True
        else:
            return place if head and (has_zeros or tags > 1) else 0


def _tag_length(head: bytes) -> int:
    """Return the length of an ID3v2 tag: four times seven bits, and a footer if flagged."""
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return size + (20 if head[5] & 0x10 else 10)


def _after_zeros(file: MediaFile, place: int) -> int:
    file.seek(place)
    while block := file.read(_BLOCK):
        rest = block.lstrip(b"\0")
        place += len(block) - len(rest)
        if rest:
            break
    return place
