# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way to the server, part by part: the window stays alive, and no large file is ever whole in memory.

A file is known by its digest (SHA-256). The server is asked which it lacks, gets those, and then the request that names
them. No bpy here.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from shared_protocol.codec import MAX_BLOB_BYTES
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Blob, HaveBlobs, Message, PutBlob, PutPart

from ..tasks import Steps

PART_BYTES = 2**20
"""Bytes between two pauses: reading, hashing or sending them takes less than a millisecond."""


class Content(Protocol):
    """Something to send: `digest` is its name (SHA-256 in lower-case hexadecimal), `size` is in bytes."""

    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...

    def part(self, start: int, size: int = PART_BYTES) -> bytes | memoryview:
        """Return at most `size` bytes from `start` on. Raises `EDTalkError` when they cannot be read."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Bytes in memory."""

    data: bytes | memoryview
    digest: str

    @classmethod
    def of(cls, data: bytes | memoryview) -> InMemory:
        """Hash bytes at once; see `in_memory` for more than some megabytes."""
        return cls(data, hashlib.sha256(data).hexdigest())

    @property
    def size(self) -> int:
        """See `Content`."""
        return len(self.data)

    def part(self, start: int, size: int = PART_BYTES) -> memoryview:
        """See `Content`."""
        return memoryview(self.data)[start : start + size]


@dataclass(frozen=True)
class OnDisk:
    """A file. `what` names its kind for people; `code` is the error's when it cannot be read."""

    path: Path
    what: str
    code: ErrorCode
    size: int
    written: int
    """Time of the last change when it was hashed, in nanoseconds."""
    digest: str

    def part(self, start: int, size: int = PART_BYTES) -> bytes:
        """See `Content`. Raises `EDTalkError` also when the file has changed since it was hashed."""
        try:
            with self.path.open("rb") as file:
                if _stamp(file) != (self.size, self.written):
                    raise _changed(self.path, self.what, self.code)
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise _unreadable(self.path, self.what, self.code, error) from error


def in_memory(data: bytes) -> Steps[Content]:
    """Hash bytes, in steps, and return them as content."""
    digest = hashlib.sha256()
    for start in range(0, len(data), PART_BYTES):
        digest.update(memoryview(data)[start : start + PART_BYTES])
        yield
    return InMemory(data, digest.hexdigest())


def on_disk(path: Path, what: str, code: ErrorCode) -> Steps[Content]:
    """Hash a file in steps and return it as content. Raises `EDTalkError` when it cannot be read, or is too large."""
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


class UploadQueue:
    """The files of the jobs on one channel: the question which are missing, then these, in the order of the jobs."""

    def __init__(self) -> None:
        self.takes_parts = False
        """Does the server take large files in parts?"""
        self._questions: deque[tuple[str, tuple[Content, ...]]] = deque()
        self._uploads: deque[tuple[str, Iterator[Message]]] = deque()

    def ask(self, job: str, files: Sequence[Content]) -> HaveBlobs:
        """Return the question which of a job's files the server lacks."""
        self._questions.append((job, tuple(files)))
        return HaveBlobs(tuple(file.digest for file in files))

    def answer(self, missing: Sequence[str]) -> None:
        """Take the answer to the oldest question: the job's missing files are sent next."""
        if self._questions:
            job, files = self._questions.popleft()
            self._uploads.append((job, self._messages([file for file in files if file.digest in missing])))

    @property
    def job(self) -> str:
        """The job whose files are being sent; empty when none are."""
        return self._uploads[0][0] if self._uploads else ""

    def next_message(self) -> Message | None:
        """Return the next message of `job`'s files, None after the last. Raises `EDTalkError` for unreadable files."""
        return next(self._uploads[0][1], None)

    def drop(self) -> None:
        """Go on to the next job's files."""
        self._uploads.popleft()

    def _messages(self, files: Sequence[Content]) -> Iterator[Message]:
        for file in files:
            if not self.takes_parts or file.size <= PART_BYTES:
                yield PutBlob(file.digest, Blob(file.part(0, file.size)))
                continue
            for start in range(0, file.size, PART_BYTES):
                yield PutPart(file.digest, start, file.size, Blob(file.part(start)))


def _stamp(file: BinaryIO) -> tuple[int, int]:
    """Return size and time of an open file: both differ after a change."""
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
