"""Files that clients have uploaded, by the SHA-256 of their bytes, within a fixed amount of memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

from shared_protocol.codec import MAX_BLOB_BYTES, Buffer
from shared_protocol.errors import EDTalkError, ErrorCode

from .limits import MAX_BLOB_STORE_BYTES


class BlobAssembly:
    """A blob that arrives in parts, in order. Each connection uploads one at a time."""

    def __init__(self) -> None:
        self._begin("", 0)

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self._data)

    def drop(self) -> None:
        """Give up what has arrived: the next part is refused as out of order."""
        self._begin("", 0)

    def _begin(self, digest: str, size: int) -> None:
        self._name, self._data, self._content = (digest, size), bytearray(), hashlib.sha256()

    def add(self, digest: str, start: int, size: int, data: Buffer) -> Buffer | None:
        """Add the part that begins at byte `start` of a blob of `size` bytes. Return the blob after its last part.

        Raises `EDTalkError`: `BLOB_CORRUPT` (a part out of order, or the digest does not match), `TOO_LARGE`.
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
        blob, is_intact = memoryview(self._data).toreadonly(), self._content.hexdigest() == digest
        self._begin("", 0)
        if not is_intact:
            raise damaged()
        return blob


def too_large() -> EDTalkError:
    """Return the error for a file that the server has no room for."""
    return EDTalkError(
        ErrorCode.TOO_LARGE, "The file is larger than the server's memory for files.", "Use a smaller file."
    )


def damaged() -> EDTalkError:
    """Return the error for data that does not match its digest."""
    return EDTalkError(ErrorCode.BLOB_CORRUPT, "A file was damaged on its way to the server.", "Try again.")


class BlobStore:
    """The most recently used blobs, at most `capacity` bytes together. Clients send a dropped one again."""

    def __init__(self, capacity: int = MAX_BLOB_STORE_BYTES) -> None:
        self._capacity = capacity
        self._blobs: OrderedDict[str, Buffer] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    def put(self, digest: str, data: Buffer) -> None:
        """Store a blob under its digest (lower-case hexadecimal SHA-256).

        Raises `EDTalkError`: `BLOB_CORRUPT` when the digest does not match the data, `TOO_LARGE`.
        """
        if len(data) > self._capacity:
            raise too_large()
        if hashlib.sha256(data).hexdigest() != digest:
            raise damaged()
        self.put_checked(digest, data)

    def put_checked(self, digest: str, data: Buffer) -> None:
        """Store a blob that fits and whose digest was checked."""
        if digest in self._blobs:
            self._blobs.move_to_end(digest)
            return
        self._blobs[digest] = data
        self._size += len(data)
        while self._size > self._capacity:
            _, dropped = self._blobs.popitem(last=False)
            self._size -= len(dropped)

    def get(self, digest: str) -> Buffer:
        """Return the blob, which then counts as just used. Raises `EDTalkError(BLOB_MISSING)`."""
        if digest not in self._blobs:
            raise EDTalkError(
                ErrorCode.BLOB_MISSING, "This file is no longer on the server.", "Send it again."
            )
        self._blobs.move_to_end(digest)
        return self._blobs[digest]

    def missing(self, digests: Iterable[str]) -> tuple[str, ...]:
        """Return the digests that are not held. The others count as just used."""
        missing = []
        for digest in digests:
            if digest in self._blobs:
                self._blobs.move_to_end(digest)
            else:
                missing.append(digest)
        return tuple(missing)
