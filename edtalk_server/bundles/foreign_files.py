"""Files that somebody else made: only plain ones of a bounded size are opened, so that none is endless.

A pipe or a device would be read for ever, and a compressed archive can hold a thousand times its size.
"""

from __future__ import annotations

import pickle
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edtalk_server.bundles.manifest import invalid
from edtalk_server.media.media_file import regular_file
from shared_protocol.errors import EDTalkError

MOST_BYTES = 8 * 1024**3
"""Bytes of a file with weights."""
_FIX = "Give the file as it was downloaded."


def check(path: Path, most: int = MOST_BYTES) -> None:
    """Raise `EDTalkError(BUNDLE_INVALID)` for a pipe, a device, or a file of more than `most` bytes; `OSError` where
    there is no file."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise invalid(f"{path.name} is no plain file.", _FIX)
    if status.st_size > most:
        raise _too_large(path.name, most)


def read(path: Path, most: int) -> bytes:
    """Return the bytes of a plain file. Raises as `check`; never waits for a writer."""
    check(path, most)
    with regular_file(path) as file:
        data = file.read(most + 1)
    if len(data) > most:  # it has grown since
        raise _too_large(path.name, most)
    return data


def check_weights(path: Path) -> None:
    """Raise `EDTalkError(BUNDLE_INVALID)` for a file of PyTorch that is not plain, too large, or compressed.

    PyTorch stores its archives uncompressed; a compressed one was made by somebody else.
    """
    check(path)
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise invalid(f"{path.name} is not a checkpoint, or it is damaged.", _FIX) from error
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise invalid(f"{path.name} holds more than it shows: it is compressed.", _FIX)


def load_weights(path: Path, also: Sequence[type] = (), in_place: bool = False) -> Any:
    """Return what a file of PyTorch holds: tensors, plain values and the classes of `also`; nothing of it is run.
    `in_place`: tensors of an archive stay in the file until they are used.

    Raises as `check_weights`; `UnpicklingError` where it holds more; `ValueError` for a damaged file, whatever PyTorch
    stumbles over in it.
    """
    import torch

    check_weights(path)
    try:
        with torch.serialization.safe_globals(list(also)):
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=in_place and zipfile.is_zipfile(path)
            )
    except (OSError, pickle.UnpicklingError):
        raise
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _too_large(name: str, most: int) -> EDTalkError:
    return invalid(f"{name} is larger than {most // 2**20} MiB.", _FIX)
