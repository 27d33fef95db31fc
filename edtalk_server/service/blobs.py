"""Files that clients have sent, by the SHA-256 of their bytes, within a fixed amount of memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

from shared_protocol.codec import MAX_BLOB_BYTES, Buffer
from shared_protocol.errors import EDTalkError, ErrorCode

CAPACITY_BYTES = 2 * MAX_BLOB_BYTES


class Assembly:
    """A blob that comes in parts, in order. One connection sends one at a time."""

    def __init__(self) -> None:
        self._begin("", 0)

    def _begin(self, digest: str, size: int) -> None:
        self._name, self._data, self._content = (digest, size), bytearray(), hashlib.sha256()

    def add(self, digest: str, start: int, size: int, data: Buffer) -> Buffer | None:
        """Take a part, of a blob of `size` bytes, from its byte `start` on; the whole blob when it was the last one.

        Raises `EDTalkError`: `BLOB_CORRUPT` for what does not follow, or does not fit the digest, `TOO_LARGE`.
        """
        if size > MAX_BLOB_BYTES:
            raise too_large()
        if start == 0:
            self._begin(digest, size)
        end = len(self._data) + len(data)
        if (digest, size) != self._name or start != len(self._data) or end > size or not len(data):
            self._begin("", 0)
            raise damaged()
        self._data += data
        self._content.update(data)
        if end < size:
            return None
        whole, is_intact = memoryview(self._data).toreadonly(), self._content.hexdigest() == digest
        self._begin("", 0)
        if not is_intact:
            raise damaged()
        return whole


def too_large() -> EDTalkError:
    """What is sent does not fit."""
    return EDTalkError(
        ErrorCode.TOO_LARGE, "The file is larger than the server's memory for files.", "Use a smaller file."
    )


def damaged() -> EDTalkError:
    """What came is not what was named."""
    return EDTalkError(ErrorCode.BLOB_CORRUPT, "A file was damaged on its way to the server.", "Try again.")


class BlobStore:
    """The blobs used last, at most `capacity` bytes together. What is dropped is simply asked for again."""

    def __init__(self, capacity: int = CAPACITY_BYTES) -> None:
        self._capacity = capacity
        self._blobs: OrderedDict[str, Buffer] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    def put(self, digest: str, data: Buffer) -> None:
        """Store a blob under its digest (lower-case hex SHA-256).

        Raises `EDTalkError`: `BLOB_CORRUPT` when the digest is not that of the data, `TOO_LARGE`.
        """
        if len(data) > self._capacity:
            raise too_large()
        if hashlib.sha256(data).hexdigest() != digest:
            raise damaged()
        self.keep(digest, data)

    def keep(self, digest: str, data: Buffer) -> None:
        """Store a blob whose digest was checked, and that fits."""
        if digest in self._blobs:
            self._blobs.move_to_end(digest)
            return
        self._blobs[digest] = data
        self._size += len(data)
        while self._size > self._capacity:
            _, dropped = self._blobs.popitem(last=False)
            self._size -= len(dropped)

    def get(self, digest: str) -> Buffer:
        """The blob. Raises `EDTalkError(BLOB_MISSING)`."""
        if digest not in self._blobs:
            raise EDTalkError(
                ErrorCode.BLOB_MISSING, "The server does not hold this file (any more).", "Send it again."
            )
        self._blobs.move_to_end(digest)
        return self._blobs[digest]

    def missing(self, digests: Iterable[str]) -> tuple[str, ...]:
        """Those of the digests that are not held. Those that are held count as just used."""
        missing = []
        for digest in digests:
            if digest in self._blobs:
                self._blobs.move_to_end(digest)
            else:
                missing.append(digest)
        return tuple(missing)
