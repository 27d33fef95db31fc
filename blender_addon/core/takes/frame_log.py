# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a take, `take.log`: a line for each frame that is whole on disk, and one for each that is about to change.

A take of an hour has a hundred thousand frames, so the log is only appended to, until most of its lines are outdated;
what touches each line is `Steps` (see `tasks`). No bpy here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

from ..tasks import Steps

log = logging.getLogger(__name__)

FILE = "take.log"
LINES_PER_STEP = 250
"""Lines that are read or written between two pauses."""
_LINE_BYTES = 90
"""About how long a line is."""
_TORN = " is not a whole line\n"
"""Ends a line that a crash or a full disk cut off: with a line end alone it might pass for a whole one."""
_SPARE_LINES = 1000
"""The log is rewritten when it has more lines than this beyond twice its frames."""


class FrameLog:
    """`hashes`: of the frames that are whole on disk; `signatures`: what their curves were like (see `staleness`)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.hashes: dict[int, str] = {}
        self.signatures: dict[int, str] = {}
        self._lines = 0
        self._is_torn = False

    @property
    def is_empty(self) -> bool:
        """Was no frame ever finished? Known without reading the log."""
        try:
            return self.path.stat().st_size == 0
        except OSError:
            return True

    def read(self) -> Steps[None]:
        """Read the log. A line that a crash cut off does not count: its frame is not finished."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                while lines := file.readlines(LINES_PER_STEP * _LINE_BYTES):
                    for line in lines:
                        self._take(line)
                    self._lines += len(lines)
                    self._is_torn = not lines[-1].endswith("\n")
                    yield
        except OSError:
            return

    def _take(self, line: str) -> None:
        match line.endswith("\n") and line[:-1].split(" "):
            case ["+", frame, value, signature] if frame.isdecimal():
                self.hashes[int(frame)], self.signatures[int(frame)] = value, signature
            case ["-", frame] if frame.isdecimal():
                self.hashes.pop(int(frame), None)
            case _:
                log.info("a line of %s is not whole", self.path)

    def add(self, frame: int, value: str, signature: str) -> None:
        """Note a frame that is whole on disk. Raises `EDTalkError` when the log cannot be written."""
        self.hashes[frame], self.signatures[frame] = value, signature
        self._append([self._line(frame)])

    def forget(self, frame: int) -> None:
        """Note that a frame's file is about to be replaced, or is gone: a part must never pass for a whole picture."""
        if self.hashes.pop(frame, None) is not None:
            self._append([f"- {frame}\n"])

    def sign(self, signatures: Iterable[tuple[int, str]]) -> Steps[None]:
        """Note new signatures of frames whose pictures are still the same. Unfinished frames are left out."""
        rest = iter(signatures)
        while some := list(islice(rest, LINES_PER_STEP)):
            fresh = [(f, s) for f, s in some if f in self.hashes and self.signatures.get(f) != s]
            self.signatures.update(fresh)
            self._append([self._line(frame) for frame, _ in fresh])
            yield

    def tidy(self) -> Steps[None]:
        """Rewrite the log, whole or not at all, when most of its lines are outdated."""
        if self._lines <= 2 * len(self.hashes) + _SPARE_LINES:
            return
        frames = iter(list(self.hashes))
        try:
            with atomic_write.replacing(self.path) as partial, partial.open("w", encoding="utf-8") as file:
                while some := list(islice(frames, LINES_PER_STEP)):
                    file.writelines(map(self._line, some))
                    yield
        except OSError as error:
            raise disk_error(self.path, error) from error
        self._lines, self._is_torn = len(self.hashes), False

    def _line(self, frame: int) -> str:
        return f"+ {frame} {self.hashes[frame]} {self.signatures.get(frame, '')}\n"

    def _append(self, lines: list[str]) -> None:
        if not lines:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_TORN * self._is_torn + "".join(lines))
        except OSError as error:
            self._is_torn = True  # a full disk takes a part of a line
            raise disk_error(self.path, error) from error
        self._lines, self._is_torn = self._lines + len(lines), False


def disk_error(path: Path, error: OSError) -> EDTalkError:
    """Return the error of a file that cannot be written."""
    return EDTalkError(
        ErrorCode.DISK,
        f"{path} cannot be written: {error.strerror or error}.",
        "Make room or choose a folder that you may write to, then bake again: finished frames are kept.",
    )
