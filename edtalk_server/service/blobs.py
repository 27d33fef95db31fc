"""Files that clients have sent, by the SHA-256 of their bytes, within a fixed amount of memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

from shared_protocol.codec import MAX_BLOB_BYTES, Buffer
from shared_protocol.errors import EDTalkError, ErrorCode

CAPACITY_BYTES = 2 * MAX_BLOB_BYTES


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
            raise EDTalkError(
                ErrorCode.TOO_LARGE,
                "The file is larger than the server's memory for files.",
                "Use a smaller file.",
            )
        if hashlib.sha256(data).hexdigest() != digest:
            raise EDTalkError(
                ErrorCode.BLOB_CORRUPT, "A file was damaged on its way to the server.", "Try again."
            )
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
