"""Which frames of a shot are finished: a line for each in a hidden file beside them.

A line holds the frame's number, the digest of all that it was drawn from, and the digest of its file. It is written
before the file, so a file that no line knows is somebody else's, and a frame counts as finished only while its file is
what the line says.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from edtalk_server.media.video.sequence import disk_error, make_folder, write_whole
from shared_protocol.errors import EDTalkError, ErrorCode


class _Line(NamedTuple):
    inputs: str
    content: str


class Record:
    """The finished frames of `pattern`. Raises `EDTalkError(DISK)`."""

    def __init__(self, pattern: Path) -> None:
        make_folder(pattern.parent)
        self._pattern = pattern
        self._file = pattern.with_name(f".{pattern.name.replace('%', '')}.baked")
        self._lines = self._read()

    def is_finished(self, frame: int, inputs: str) -> bool:
        """Is the frame there, drawn from just these inputs?"""
        lines = self._lines.get(frame, [])
        wanted = [line.content for line in lines if line.inputs == inputs]
        return bool(wanted) and self._content(frame) in wanted

    def check_own(self, frame: int) -> None:
        """Raise `EDTalkError(DISK)` where the frame's file is none of ours: somebody's work is not replaced."""
        content = self._content(frame)
        if content is not None and content not in [line.content for line in self._lines.get(frame, [])]:
            raise EDTalkError(
                ErrorCode.DISK,
                f"“{self._path(frame).name}” is there, and was not baked by this command or has been changed.",
                "Choose another output, or allow it with --overwrite.",
            )

    def write(self, frame: int, inputs: str, data: bytes) -> None:
        """Write a finished frame."""
        line = _Line(inputs, hashlib.sha256(data).hexdigest())
        try:
            with self._file.open("ab") as file:
                file.write(f"{frame} {line.inputs} {line.content}\n".encode("ascii"))
        except OSError as error:
            raise disk_error(self._file, error) from error
        self._lines.setdefault(frame, []).append(line)
        write_whole(self._path(frame), data)

    def _path(self, frame: int) -> Path:
        return self._pattern.with_name(self._pattern.name % frame)

    def _content(self, frame: int) -> str | None:
        """Return the digest of a frame's file; None where there is none."""
        try:
            return hashlib.sha256(self._path(frame).read_bytes()).hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_error(self._path(frame), error) from error

    def _read(self) -> dict[int, list[_Line]]:
        """Return all lines; one that was cut off by a crash does not count."""
        lines: dict[int, list[_Line]] = {}
        try:
            text = self._file.read_text("ascii", "replace")
        except FileNotFoundError:
            return lines
        except OSError as error:
            raise disk_error(self._file, error) from error
        for words in map(str.split, text.splitlines()):
            if len(words) == 3 and words[0].lstrip("-").isdecimal() and len(words[2]) == 64:
                lines.setdefault(int(words[0]), []).append(_Line(words[1], words[2]))
        return lines
