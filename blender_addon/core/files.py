# SPDX-License-Identifier: GPL-3.0-or-later
"""Large files, a little at a time, so that the window stays alive. No bpy here."""

from __future__ import annotations

from pathlib import Path

from shared_protocol.codec import MAX_BLOB_BYTES
from shared_protocol.errors import EDTalkError, ErrorCode

from .tasks import Steps

_AT_ONCE = 2 * 2**20


def read(path: Path, what: str, code: ErrorCode) -> Steps[memoryview]:
    """The bytes of a file. Raises `EDTalkError` when it is not there, cannot be read, or is too large to send."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > MAX_BLOB_BYTES:
                raise EDTalkError(
                    ErrorCode.TOO_LARGE,
                    f"The {what} {path} is larger than {MAX_BLOB_BYTES // 2**20} MiB.",
                    "Cut it to the part that you need, or make its pictures smaller.",
                )
            data = memoryview(bytearray(size))
            for start in range(0, size, _AT_ONCE):
                file.readinto(data[start : start + _AT_ONCE])
                yield
    except OSError as error:
        raise EDTalkError(
            code, f"The {what} {path} cannot be read: {error.strerror}.", f"Choose another {what} file."
        ) from error
    return data.toreadonly()
