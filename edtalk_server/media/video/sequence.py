"""Frames as numbered PNG or EXR files, each written whole or not at all, each marked as synthetic."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.media.provenance import mark_png
from edtalk_server.media.video.exr import encode_exr
from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

_PNG_SPEED = 1
"""PNG compression level: higher ones take as long as rendering and save little."""
MOVIES = (".mp4", ".mov", ".mkv")
"""Endings of the movie files that `writer` makes."""
_NUMBER = re.compile(r"%0?(\d*)d")
_MOST_DIGITS = 12
"""Digits to which a pattern may pad a frame's number."""


def encode_png(frame: npt.NDArray[np.uint8]) -> bytes:
    """Encode an RGB or RGBA frame, uint8 [H, W, 3 or 4], as a marked 8-bit PNG file."""
    swapped = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR if frame.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    is_encoded, data = cv2.imencode(".png", swapped, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_SPEED])
    if not is_encoded:
        raise ValueError(f"a frame of shape {frame.shape} cannot be encoded")
    return mark_png(data.tobytes())


def disk_error(path: Path, error: OSError) -> EDTalkError:
    """Return the error for a file that cannot be written."""
    return EDTalkError(
        ErrorCode.DISK,
        f"“{path.name}” could not be written to {path.parent} ({error.strerror or error}).",
        "Check that the folder exists, that you may write to it and that the disk is not full.",
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that readers see all of it or nothing. Raises `EDTalkError(DISK)`."""
    try:
        atomic_write.write(path, data)
    except OSError as error:
        raise disk_error(path, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises `EDTalkError(DISK)`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(folder, error) from error


def is_pattern(path: Path | str) -> bool:
    """Tell whether a path is the pattern of a numbered sequence (`frames/%04d.png`)."""
    return bool(_NUMBER.search(Path(path).name))


def check_pattern(path: Path) -> None:
    """Raise `ValueError` for a pattern without exactly one number, with a number of more than 12 digits, or with
    another suffix than .png and .exr."""
    name = path.name
    widths = _NUMBER.findall(name)
    if len(widths) != 1 or name.replace("%%", "").count("%") != 1:
        raise ValueError(f"{name!r} must hold one frame number, such as %04d")
    if len(widths[0]) > 2 or int(widths[0] or 0) > _MOST_DIGITS:
        raise ValueError(f"{name[:40]!r} asks for more than {_MOST_DIGITS} digits")
    if path.suffix.lower() not in (".png", ".exr"):
        raise ValueError(f"{name!r} must end in .png or .exr")


def check_output(path: Path) -> None:
    """Raise `EDTalkError(UNSUPPORTED)` where a path is neither a movie nor the pattern of a sequence."""
    try:
        if is_pattern(path):
            check_pattern(path)
        elif path.suffix.lower() not in MOVIES:
            raise ValueError(f"{path.name!r} is neither a movie ({', '.join(MOVIES)}) nor a sequence")
    except ValueError as error:
        cause = f"The output cannot be written: {error}."
        fix = "Choose a movie such as out.mp4, or a sequence such as frames/%04d.png."
        raise EDTalkError(ErrorCode.UNSUPPORTED, cause, fix) from error


def refuse_existing(path: Path) -> None:
    """Raise `EDTalkError(DISK)` where a movie is there already, or a frame of a sequence."""
    there = path if path.exists() else None
    if is_pattern(path) and path.parent.is_dir():
        shape = re.compile(_NUMBER.sub(r"[0-9]+", re.escape(path.name).replace("%%", "%")))
        there = next((file for file in sorted(path.parent.iterdir()) if shape.fullmatch(file.name)), None)
    if there is not None:
        raise EDTalkError(
            ErrorCode.DISK,
            f"“{there.name}” is there already.",
            "Name another file, or allow it with --overwrite.",
        )


def is_deep(path: Path) -> bool:
    """Tell whether a sequence of that name holds half floats: EXR does."""
    return path.suffix.lower() == ".exr"


class SequenceWriter:
    """Writes frames to `pattern`, whose file name holds one `%04d` or the like, numbered from `first`.

    An EXR sequence takes float16 frames in linear light, a PNG sequence uint8 frames. Raises `ValueError` for a pattern
    without exactly one number or with another suffix, and `EDTalkError(DISK)`.
    """

    def __init__(self, pattern: Path | str, first: int = 1) -> None:
        self._pattern = Path(pattern)
        check_pattern(self._pattern)
        make_folder(self._pattern.parent)
        self._next = first

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open: every frame is whole."""

    def write(self, frame: npt.NDArray[Any]) -> None:
        """Write the next frame, [H, W, 3 or 4] RGB or RGBA."""
        encode: Callable[[npt.NDArray[Any]], bytes] = encode_exr if is_deep(self._pattern) else encode_png
        write_whole(self._pattern.with_name(self._pattern.name % self._next), encode(frame))
        self._next += 1
