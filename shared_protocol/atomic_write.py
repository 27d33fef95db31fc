"""Files that are written whole or not at all: under another name beside their place, then renamed in one step.

Standard library only. A reader sees the old file or the new one, never a part; a writer that fails leaves the old file.
The place itself is replaced: to keep a symbolic link, pass `path.resolve()`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".part"
"""Ends the name of a file that is not whole yet."""
_LONGEST_NAME, _KEPT = 255, 100
"""Bytes of a name, at most, on usual file systems; and how many of a long one its unfinished file keeps."""
_PRIVATE = 0o600
"""File mode: its owner alone may read and write."""


def partial_path(path: Path, suffix: str = SUFFIX) -> Path:
    """Return the name under which this process writes `path`; a name as long as systems allow is shortened.

    `suffix`: for writers that choose the format by it.
    """
    ending = f".{os.getpid()}{suffix}"
    name = os.fsencode(path.name)
    if len(name) + len(ending) > _LONGEST_NAME:
        head, digest = name[:_KEPT].decode("utf-8", "ignore"), hashlib.sha256(name).hexdigest()[:16]
        return path.with_name(f"{head}{digest}{ending}")
    return path.with_name(path.name + ending)


@contextmanager
def replacing(
    path: Path, *, suffix: str = SUFFIX, private: bool = False, durable: bool = False
) -> Iterator[Path]:
    """Yield a name beside `path` to write to. The file replaces `path` when the block ends, and goes when it raises.

    `private`: only this user may read it, from its first byte on. `durable`: it is on the disk before it replaces
    `path`, so that a crash of the machine leaves one of the two whole.
    """
    partial = partial_path(path, suffix)
    try:
        if private:
            partial.unlink(missing_ok=True)
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE))
        yield partial
        if durable:
            _flush_to_disk(partial)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write(path: Path, data: bytes, *, private: bool = False, durable: bool = False) -> None:
    """Write a file; see `replacing`. Raises `OSError`; what was there before stays then."""
    with replacing(path, private=private, durable=durable) as partial:
        partial.write_bytes(data)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
