"""Files that are written whole or not at all: under another name beside their place, then renamed in one step.

Standard library only. A reader sees the old file or the new one, never a part; a writer that fails leaves the old file.
The place itself is replaced: to keep a symbolic link, pass `path.resolve()`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".part"
"""Ends the name of a file that is not whole yet."""
_PRIVATE = 0o600
"""File mode: its owner alone may read and write."""


def partial_path(path: Path, suffix: str = SUFFIX) -> Path:
    """Return the name under which this process writes `path`. `suffix`: for writers that choose the format by it."""
    return path.with_name(f"{path.name}.{os.getpid()}{suffix}")


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
