# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to the server: files and bytes that know their name, and give themselves away part by part, so that the
window stays alive and no large file is ever whole in memory. No bpy here."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from shared_protocol.codec import MAX_BLOB_BYTES
from shared_protocol.errors import EDTalkError, ErrorCode

from ..tasks import Steps

PART_BYTES = 2**20
"""Bytes between two pauses: reading, hashing or sending them takes less than a millisecond."""


class Content(Protocol):
    """Something to be sent: `digest` is its name (SHA-256 in lower-case hexadecimal), `size` in bytes."""

    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...

    def part(self, start: int, size: int = PART_BYTES) -> bytes | memoryview:
        """At most `size` bytes from `start` on. Raises `EDTalkError` when they cannot be read."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Bytes that are there already."""

    data: bytes | memoryview
    digest: str

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    def part(self, start: int, size: int = PART_BYTES) -> memoryview:
        """See `Content`."""
        return memoryview(self.data)[start : start + size]


@dataclass(frozen=True)
class OnDisk:
    """A file, `what` it is for people, and the error's code when it cannot be read."""

    path: Path
    what: str
    code: ErrorCode
    size: int
    written: int
    """When it was written last, as it was hashed (nanoseconds)."""
    digest: str

    def part(self, start: int, size: int = PART_BYTES) -> bytes:
        """See `Content`. Raises `EDTalkError` too when it is not the file any more that was hashed."""
        try:
            with self.path.open("rb") as file:
                if _stamp(file) != (self.size, self.written):
                    raise _changed(self.path, self.what, self.code)
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise _unreadable(self.path, self.what, self.code, error) from error


def content_of(data: bytes | memoryview | Content) -> Content:
    """Bytes as something to be sent; they are hashed at once."""
    if isinstance(data, bytes | memoryview):
        return InMemory(data, hashlib.sha256(data).hexdigest())
    return data


def in_memory(data: bytes) -> Steps[Content]:
    """The same in steps."""
    digest = hashlib.sha256()
    for start in range(0, len(data), PART_BYTES):
        digest.update(memoryview(data)[start : start + PART_BYTES])
        yield
    return InMemory(data, digest.hexdigest())


def on_disk(path: Path, what: str, code: ErrorCode) -> Steps[Content]:
    """A file to be sent. Raises `EDTalkError` when it is not there, cannot be read, or is too large."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            size, written = _stamp(file)
            if size > MAX_BLOB_BYTES:
                raise EDTalkError(
                    ErrorCode.TOO_LARGE,
                    f"The {what} {path} is larger than {MAX_BLOB_BYTES // 2**20} MiB.",
                    "Cut it to the part that you need, or make its pictures smaller.",
                )
            while part := file.read(PART_BYTES):
                digest.update(part)
                yield
    except OSError as error:
        raise _unreadable(path, what, code, error) from error
    return OnDisk(path, what, code, size, written, digest.hexdigest())


def _stamp(file: BinaryIO) -> tuple[int, int]:
    """Size and time of an open file: others when somebody has written it anew."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _changed(path: Path, what: str, code: ErrorCode) -> EDTalkError:
    return EDTalkError(
        code, f"The {what} {path} changed while it was sent.", "Wait until it is written, then try again."
    )


def _unreadable(path: Path, what: str, code: ErrorCode, error: OSError) -> EDTalkError:
    return EDTalkError(
        code, f"The {what} {path} cannot be read: {error.strerror}.", f"Choose another {what} file."
    )
