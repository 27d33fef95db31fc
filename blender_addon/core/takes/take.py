# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: baked image sequences that know what each of their frames was made from. No bpy here.

A take is a folder, `take_001/`, with one file for each frame, `0001.png`; `take.json` says how they look and whose they
are, and `take.log` keeps a line for each frame: a hash of all that made the picture, so comparing hashes says which
frames are stale. A frame is in the log only while its file is whole: a line takes it out before the file is replaced,
another puts it back afterwards. A crash or a cancel therefore loses nothing that was finished, and baking again goes on
from there.

A take of an hour has a hundred thousand frames, so nothing here reads, writes or lists all of them in one go: what
touches each frame is `Steps` (see `tasks`), and the log is only appended to, until most of its lines are outdated.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

from ..tasks import Steps, run_to_end
from .frame_log import FrameLog, disk_error
from .take_format import VERSION, TakeFormat

log = logging.getLogger(__name__)

MANIFEST = "take.json"
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_PICTURE = re.compile(r"(\d{4,})\.(png|exr)")
_OURS = re.compile(r"(?:\d{4,}\.(?:png|exr)|take\.log)(?:(?:\.\d+)?\.part)?|take\.json\.\d+\.part")
_FILES_PER_STEP = 200
"""Files that are listed between two pauses."""
_DELETED_PER_STEP = 10
"""Files that are deleted between two pauses."""
_HASHES_PER_STEP = 250
"""Hashes that are compared between two pauses."""


def _write(path: Path, data: bytes) -> None:
    try:
        atomic_write.write(path, data)
    except OSError as error:
        raise disk_error(path, error) from error


def _copy(source: Path, target: Path) -> None:
    """Copy a file whole or not at all."""
    try:
        data = source.read_bytes()
    except OSError as error:
        raise disk_error(target, error) from error
    _write(target, data)


@dataclass
class Take:
    """One baked image sequence.

    `owner` is the name of the .blend that bakes into it, `character` that of the character: files in one folder, and
    characters whose names make the same folder, must not overwrite each other's frames.
    """

    folder: Path
    format: TakeFormat = field(default_factory=TakeFormat)
    owner: str = ""
    character: str = ""
    _on_disk: tuple[TakeFormat, str, str] | None = None
    """What the manifest says; None where there is none, or a damaged one."""

    def __post_init__(self) -> None:
        self._log = FrameLog(self.folder)

    @classmethod
    def read_header(cls, folder: Path) -> Take:
        """Return the take in `folder` without its frames; an empty one where the manifest is missing or damaged."""
        try:
            content = json.loads((folder / MANIFEST).read_text("utf-8"))
            if content["format"] != VERSION:
                return cls(folder)
            whose = str(content["owner"]), str(content.get("character", ""))
            take = cls(folder, TakeFormat(**content["look"]), *whose)
        except _DAMAGED:
            return cls(folder)
        take._on_disk = take.format, *whose
        return take

    @classmethod
    def open_in_steps(cls, folder: Path) -> Steps[Take]:
        """Return the take in `folder` with its frames; without any where its manifest is damaged (all are stale)."""
        take = cls.read_header(folder)
        if take._on_disk is not None:
            yield from take._log.read()
        return take

    @classmethod
    def open(cls, folder: Path) -> Take:
        """Do the same in one go, for scripts and renders without a window."""
        return run_to_end(cls.open_in_steps(folder))

    # --- what is there -------------------------------------------------------------------------------------

    def is_free_for(self, owner: str) -> bool:
        """Return whether the .blend named `owner` may bake here. Pictures without a manifest belong to others."""
        if not (self.folder / MANIFEST).exists():
            return not any(True for _ in self._pictures())
        return self.owner in {"", owner} or self.is_empty

    @property
    def is_empty(self) -> bool:
        """Was no frame ever finished in it? (Known without reading the frames.)"""
        return self._on_disk is None or self._log.is_empty

    @property
    def hashes(self) -> dict[int, str]:
        """The hashes of the frames that are whole on disk (see `frame_hash`)."""
        return self._log.hashes

    @property
    def signatures(self) -> dict[int, str]:
        """What the curves of the finished frames were like (see `staleness`)."""
        return self._log.signatures

    def file_name(self, frame: int) -> str:
        """Return the name of a frame's file. Blender counts image sequences by the digits of their names."""
        return f"{frame:04d}.{self.format.encoding}"

    def path(self, frame: int) -> Path:
        """Return where the picture of a frame is, or will be."""
        return self.folder / self.file_name(frame)

    def finished(self) -> Steps[set[int]]:
        """Return the frames that are finished and whose files still exist."""
        there: set[int] = set()
        for number, (frame, encoding) in enumerate(self._pictures()):
            if encoding == self.format.encoding and frame in self.hashes:
                there.add(frame)
            if number % _FILES_PER_STEP == _FILES_PER_STEP - 1:
                yield
        return there

    def stale(self, wanted: Mapping[int, str]) -> Steps[list[int]]:
        """Return the frames of `wanted` (frame -> hash) that must be rendered, rising."""
        there, frames = (yield from self.finished()), list[int]()
        for number, (frame, value) in enumerate(wanted.items()):
            if frame not in there or self.hashes[frame] != value:
                frames.append(frame)
            if number % _HASHES_PER_STEP == _HASHES_PER_STEP - 1:
                yield
        return sorted(frames)

    def has(self, frame: int) -> bool:
        """Return whether this frame is finished and its file still exists."""
        return frame in self.hashes and self.path(frame).is_file()

    # --- baking --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Write the manifest, before rendering. Raises `EDTalkError` when the folder cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._on_disk is None:  # what a damaged manifest left is not to be believed
                self._log.path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(self.folder, error) from error
        mine = self.format, self.owner, self.character
        if self._on_disk == mine:
            self.touch()
            return
        content = {
            "format": VERSION,
            "owner": self.owner,
            "character": self.character,
            "look": self.format.stored,
        }
        _write(self.folder / MANIFEST, json.dumps(content, indent=0).encode())
        self._on_disk = mine

    def store(self, frame: int, value: str, data: bytes, signature: str = "") -> None:
        """Write one finished picture (an image file's bytes), and log its hash and what its curves were like."""
        self._log.forget(frame)
        _write(self.path(frame), data)
        self._log.add(frame, value, signature)

    def sign(self, signatures: Iterable[tuple[int, str]]) -> Steps[None]:
        """Note new signatures of frames whose pictures are still the same. See `FrameLog.sign`."""
        return self._log.sign(signatures)

    def tidy(self) -> Steps[None]:
        """Rewrite the log when most of its lines are outdated. See `FrameLog.tidy`."""
        return self._log.tidy()

    def hold_before(self, first: int) -> None:
        """Copy the first picture to the file before it, which the log does not list.

        Blender shows file `first - 1` at all scene frames before a sequence begins, and magenta where it is missing.
        (There is no file before number 0: there Blender takes 0 itself.)
        """
        if first > 0 and not self.has(first - 1):
            self._log.forget(first - 1)  # its file was deleted: the copy must not pass for it
            copy = self.path(first - 1)
            try:
                _copy(self.path(first), copy)
            except EDTalkError as error:
                if not copy.is_file():
                    raise
                log.info("the earlier copy stays: %s", error)

    def adopt(self, other: Take) -> Steps[None]:
        """Copy the finished frames of another take that this one lacks (the file was saved since, say), in steps.

        Only a take of a like format has any to give.
        """
        if not self.format.is_like(other.format):
            return
        missing = sorted((yield from other.finished()) - self.hashes.keys())
        if missing:
            self.begin()
        for frame in missing:
            try:
                data = other.path(frame).read_bytes()
            except OSError as error:  # it is rendered again
                log.info("%s is not copied: %s", other.path(frame), error)
            else:
                self.store(frame, other.hashes[frame], data, other.signatures.get(frame, ""))
            yield

    # --- the folder ----------------------------------------------------------------------------------------

    @property
    def last_used(self) -> float:
        """When it was baked into or shown last (seconds since 1970); 0 where there is none."""
        return _written_at(self.folder / MANIFEST)

    @property
    def stamp(self) -> tuple[float, ...]:
        """Another value after each change of the take."""
        return self.last_used, _written_at(self._log.path)

    def touch(self) -> None:
        """Mark it as used now."""
        try:
            os.utime(self.folder / MANIFEST)
        except OSError as error:
            log.info("%s is not marked as used: %s", self.folder, error)

    def size(self) -> Steps[int]:
        """Return the bytes on disk, counted a few files at a time."""
        total = 0
        try:
            with os.scandir(self.folder) as entries:
                for number, entry in enumerate(entries):
                    total += entry.stat().st_size
                    if number % _FILES_PER_STEP == _FILES_PER_STEP - 1:
                        yield
        except OSError as error:
            log.info("the size of %s is not known: %s", self.folder, error)
        return total

    def delete(self) -> Steps[None]:
        """Delete the take's own files, a few at a time, and the folder when nothing else is in it. The manifest goes
        last: until then it is a take.

        Raises `EDTalkError` when a file cannot be deleted.
        """
        try:
            own_files = yield from self._own_files()
            for number, name in enumerate(own_files):
                (self.folder / name).unlink(missing_ok=True)
                if number % _DELETED_PER_STEP == _DELETED_PER_STEP - 1:
                    yield
            (self.folder / MANIFEST).unlink(missing_ok=True)
            if not names_in(self.folder):
                self.folder.rmdir()
        except OSError as error:
            raise EDTalkError(
                ErrorCode.DISK,
                f"{error.filename or self.folder} cannot be deleted: {error.strerror}.",
                "Close what uses it, or delete the folder by hand.",
            ) from error

    # --- inside --------------------------------------------------------------------------------------------

    def _own_files(self) -> Steps[list[str]]:
        """Return the names of all files that a bake wrote, except the manifest."""
        names: list[str] = []
        with os.scandir(self.folder) as entries:
            for number, entry in enumerate(entries):
                if _OURS.fullmatch(entry.name):
                    names.append(entry.name)
                if number % _FILES_PER_STEP == _FILES_PER_STEP - 1:
                    yield
        return names

    def _pictures(self) -> Iterator[tuple[int, str]]:
        """Yield number and encoding of all pictures in the folder, whoever made them, in any order."""
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if match := _PICTURE.fullmatch(entry.name):
                        yield int(match[1]), match[2]
        except OSError:
            return


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none where it does not exist."""
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []
