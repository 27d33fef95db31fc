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

import hashlib
import json
import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

from ..tasks import Steps, run_to_end

log = logging.getLogger(__name__)

MANIFEST = "take.json"
JOURNAL = "take.log"
FORMAT = 3
ENCODINGS = ("png", "exr")
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_PICTURE = re.compile(r"(\d{4,})\.(png|exr)")
_OURS = re.compile(r"(?:\d{4,}\.(?:png|exr)|take\.log)(?:(?:\.\d+)?\.part)?|take\.json\.\d+\.part")
_FILES, _LINES, _DELETED = 200, 250, 10
"""So many between two pauses: files that are listed, lines that are read or written, files that are deleted."""
_LINE_BYTES = 90
"""About how long a line is."""
_TORN = " is not a whole line\n"
"""Ends a line that a crash or a full disk cut off: with a line end alone it might pass for a whole one."""
_SPARE = 1000
"""The log is written anew when it has so many lines more than twice its frames."""


@dataclass(frozen=True)
class Look:
    """What all frames of a take have in common: how they are encoded (`png` or `exr`), what they frame (`face` or
    `full`), whether they have the face's matte, and their size in pixels."""

    encoding: str = "png"
    framing: str = "face"
    alpha: bool = False
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"no encoding of frames: {self.encoding}")

    def is_like(self, other: Look) -> bool:
        """Can frames of both stand in one sequence? (The size follows model and portrait, and may change.)"""
        return replace(self, width=0, height=0) == replace(other, width=0, height=0)


def frame_hash(bundle: str, source: str, weights: bytes, look: Look) -> str:
    """What a frame was made from: the bundle's and the source's identity, the weights (float32 bytes) and the look."""
    digest = _hash_of_all(bundle, source, look).copy()
    digest.update(weights)
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _hash_of_all(bundle: str, source: str, look: Look) -> hashlib._Hash:
    """What all frames of a take have in common."""
    return hashlib.sha256(f"{FORMAT}\n{bundle}\n{source}\n{look}\n".encode())


def folder_name(character: str) -> str:
    """A character's name as a folder name that every system takes."""
    cleaned = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", character).strip(" .") or "character"
    return f"{cleaned}_" if re.fullmatch(r"(?i)(con|prn|aux|nul|(com|lpt)\d)(\..*)?", cleaned) else cleaned


def _write(path: Path, data: bytes) -> None:
    try:
        atomic_write.write(path, data)
    except OSError as error:
        raise _disk(path, error) from error


def _copy(source: Path, target: Path) -> None:
    """Copy a file whole or not at all."""
    try:
        data = source.read_bytes()
    except OSError as error:
        raise _disk(target, error) from error
    _write(target, data)


def _disk(path: Path, error: OSError) -> EDTalkError:
    return EDTalkError(
        ErrorCode.DISK,
        f"{path} cannot be written: {error.strerror or error}.",
        "Make room or choose a folder that you may write to, then bake again: finished frames are kept.",
    )


@dataclass
class Take:
    """One baked image sequence. `hashes` are of the frames that are whole on disk; `signatures` say what their curves
    were like (see `staleness`); `owner` is the name of the .blend that bakes into it, `character` that of the character
    (files in one folder, and characters whose names make the same folder, must not overwrite each other's frames)."""

    folder: Path
    look: Look = Look()
    owner: str = ""
    character: str = ""
    hashes: dict[int, str] = field(default_factory=dict)
    signatures: dict[int, str] = field(default_factory=dict)
    _on_disk: tuple[Look, str, str] | None = None
    _lines: int = 0
    _is_torn: bool = False

    @classmethod
    def head(cls, folder: Path) -> Take:
        """The take in `folder` without its frames; an empty one where there is none or its manifest is damaged."""
        try:
            content = json.loads((folder / MANIFEST).read_text("utf-8"))
            if content["format"] != FORMAT:
                return cls(folder)
            whose = str(content["owner"]), str(content.get("character", ""))
            take = cls(folder, Look(**content["look"]), *whose)
        except _DAMAGED:
            return cls(folder)
        take._on_disk = take.look, *whose
        return take

    @classmethod
    def opening(cls, folder: Path) -> Steps[Take]:
        """The take in `folder` with its frames; none of a take whose manifest is damaged (all frames are stale)."""
        take = cls.head(folder)
        if take._on_disk is not None:
            yield from take._read()
        return take

    @classmethod
    def open(cls, folder: Path) -> Take:
        """The same at once, for scripts and renders without a window."""
        return run_to_end(cls.opening(folder))

    # --- what is there -------------------------------------------------------------------------------------

    def is_free_for(self, owner: str) -> bool:
        """May the .blend named `owner` bake into this folder? Pictures without a manifest are somebody else's."""
        if not (self.folder / MANIFEST).exists():
            return not any(True for _ in self._pictures())
        return self.owner in {"", owner} or self.is_empty

    @property
    def is_empty(self) -> bool:
        """Was no frame ever finished in it? (Known without reading the frames.)"""
        try:
            return self._on_disk is None or (self.folder / JOURNAL).stat().st_size == 0
        except OSError:
            return True

    def file_name(self, frame: int) -> str:
        """The file of a frame. Blender counts image sequences by the digits of their names."""
        return f"{frame:04d}.{self.look.encoding}"

    def path(self, frame: int) -> Path:
        """Where the picture of a frame is, or will be."""
        return self.folder / self.file_name(frame)

    def finished(self) -> Steps[set[int]]:
        """The frames that are finished and whose files are still there."""
        there: set[int] = set()
        for number, (frame, encoding) in enumerate(self._pictures()):
            if encoding == self.look.encoding and frame in self.hashes:
                there.add(frame)
            if number % _FILES == _FILES - 1:
                yield
        return there

    def stale(self, wanted: Mapping[int, str]) -> Steps[list[int]]:
        """The frames of `wanted` (frame -> hash) that must be rendered, rising."""
        there, frames = (yield from self.finished()), list[int]()
        for number, (frame, value) in enumerate(wanted.items()):
            if frame not in there or self.hashes[frame] != value:
                frames.append(frame)
            if number % _LINES == _LINES - 1:
                yield
        return sorted(frames)

    def has(self, frame: int) -> bool:
        """Is this frame finished, and its file still there?"""
        return frame in self.hashes and self.path(frame).is_file()

    # --- baking --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Before rendering: say how the frames look and whose they are. Raises `EDTalkError` when the folder cannot be
        written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._on_disk is None:  # what a damaged manifest left is not to be believed
                (self.folder / JOURNAL).unlink(missing_ok=True)
        except OSError as error:
            raise _disk(self.folder, error) from error
        mine = self.look, self.owner, self.character
        if self._on_disk == mine:
            self.touch()
            return
        content = {
            "format": FORMAT,
            "owner": self.owner,
            "character": self.character,
            "look": asdict(self.look),
        }
        _write(self.folder / MANIFEST, json.dumps(content, indent=0).encode())
        self._on_disk = mine

    def store(self, frame: int, value: str, data: bytes, signature: str = "") -> None:
        """Keep one finished picture (an image file's bytes), its hash and what its curves were like."""
        self._forget(frame)
        _write(self.path(frame), data)
        self.hashes[frame], self.signatures[frame] = value, signature
        self._note([_finished(frame, value, signature)])

    def sign(self, signatures: Iterable[tuple[int, str]]) -> Steps[None]:
        """The finished ones of these frames are made from curves like this now, and their pictures still the same."""
        rest = iter(signatures)
        while some := list(islice(rest, _LINES)):
            fresh = [(f, s) for f, s in some if f in self.hashes and self.signatures.get(f) != s]
            self.signatures.update(fresh)
            self._note([_finished(frame, self.hashes[frame], value) for frame, value in fresh])
            yield

    def tidy(self) -> Steps[None]:
        """Write the log anew, whole or not at all, when most of its lines are outdated."""
        if self._lines <= 2 * len(self.hashes) + _SPARE:
            return
        target = self.folder / JOURNAL
        frames = iter(list(self.hashes))
        try:
            with atomic_write.replacing(target) as partial, partial.open("w", encoding="utf-8") as file:
                while some := list(islice(frames, _LINES)):
                    file.writelines(_finished(f, self.hashes[f], self.signatures.get(f, "")) for f in some)
                    yield
        except OSError as error:
            raise _disk(target, error) from error
        self._lines, self._is_torn = len(self.hashes), False

    def hold_before(self, first: int) -> None:
        """Let the picture before the first be there too, as a copy that the log does not list.

        Blender shows file `first - 1` at all scene frames before a sequence begins, and magenta where it is missing.
        (There is no file before number 0: there Blender takes 0 itself.)
        """
        if first > 0 and not self.has(first - 1):
            self._forget(first - 1)  # its file was deleted: the copy must not pass for it
            copy = self.path(first - 1)
            try:
                _copy(self.path(first), copy)
            except EDTalkError as error:
                if not copy.is_file():
                    raise
                log.info("the copy of before has to do: %s", error)

    def adopt(self, other: Take) -> Steps[None]:
        """Copy the finished frames of another take that this one has not (the file was saved since, say), a few at a
        time. Takes with another look have nothing to give."""
        if not self.look.is_like(other.look):
            return
        missing = sorted((yield from other.finished()) - self.hashes.keys())
        if missing:
            self.begin()
        for frame in missing:
            try:
                data = other.path(frame).read_bytes()
            except OSError as error:  # it is rendered again
                log.info("%s does not come along: %s", other.path(frame), error)
            else:
                self.store(frame, other.hashes[frame], data, other.signatures.get(frame, ""))
            yield

    # --- the folder ----------------------------------------------------------------------------------------

    @property
    def last_used(self) -> float:
        """When it was baked into or shown last (seconds since 1970); 0 for one that is not there."""
        return _written_at(self.folder / MANIFEST)

    @property
    def stamp(self) -> tuple[float, ...]:
        """Another value after each change of the take."""
        return self.last_used, _written_at(self.folder / JOURNAL)

    def touch(self) -> None:
        """It is used now."""
        try:
            os.utime(self.folder / MANIFEST)
        except OSError as error:
            log.info("%s is not marked as used: %s", self.folder, error)

    def size(self) -> Steps[int]:
        """Bytes on disk, counted a few files at a time."""
        total = 0
        try:
            with os.scandir(self.folder) as entries:
                for number, entry in enumerate(entries):
                    total += entry.stat().st_size
                    if number % _FILES == _FILES - 1:
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
            doomed = yield from self._own_files()
            for number, name in enumerate(doomed):
                (self.folder / name).unlink(missing_ok=True)
                if number % _DELETED == _DELETED - 1:
                    yield
            (self.folder / MANIFEST).unlink(missing_ok=True)
            if not _names_in(self.folder):
                self.folder.rmdir()
        except OSError as error:
            raise EDTalkError(
                ErrorCode.DISK,
                f"{error.filename or self.folder} cannot be deleted: {error.strerror}.",
                "Close what uses it, or delete the folder by hand.",
            ) from error

    # --- inside --------------------------------------------------------------------------------------------

    def _own_files(self) -> Steps[list[str]]:
        """The names of all files that a bake wrote, but the manifest's."""
        names: list[str] = []
        with os.scandir(self.folder) as entries:
            for number, entry in enumerate(entries):
                if _OURS.fullmatch(entry.name):
                    names.append(entry.name)
                if number % _FILES == _FILES - 1:
                    yield
        return names

    def _pictures(self) -> Iterator[tuple[int, str]]:
        """Number and encoding of all pictures in the folder, whoever made them, in any order."""
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if match := _PICTURE.fullmatch(entry.name):
                        yield int(match[1]), match[2]
        except OSError:
            return

    def _forget(self, frame: int) -> None:
        """Its file is about to be replaced, or is gone: a half-done picture must never pass for a finished one."""
        if self.hashes.pop(frame, None) is not None:
            self._note([f"- {frame}\n"])

    def _note(self, lines: list[str]) -> None:
        """Append to the log."""
        if not lines:
            return
        try:
            with (self.folder / JOURNAL).open("a", encoding="utf-8") as file:
                file.write(_TORN * self._is_torn + "".join(lines))
        except OSError as error:
            self._is_torn = True  # a full disk takes a part of a line
            raise _disk(self.folder / JOURNAL, error) from error
        self._lines, self._is_torn = self._lines + len(lines), False

    def _read(self) -> Steps[None]:
        """What the log says. A crash may have cut its last line off; a frame that is not noted whole is not
        finished."""
        try:
            with (self.folder / JOURNAL).open(encoding="utf-8", errors="replace") as file:
                while lines := file.readlines(_LINES * _LINE_BYTES):
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
                log.info("a line of %s is not whole", self.folder / JOURNAL)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _finished(frame: int, value: str, signature: str) -> str:
    """The line of the log for a frame that is whole on disk."""
    return f"+ {frame} {value} {signature}\n"


def runs(frames: Collection[int]) -> list[range]:
    """The unbroken runs of some frames, rising."""
    if not frames:
        return []
    numbers = np.sort(np.fromiter(frames, np.int64, len(frames)))
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    firsts, lasts = numbers[np.append(0, breaks + 1)], numbers[np.append(breaks, len(numbers) - 1)]
    return [range(first, last + 1) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]


def run_to_show(frames: Collection[int], frame: int) -> range:
    """The unbroken run at `frame`, or else the longest; an empty one when there are none."""
    all_ = runs(frames)
    return next((one for one in all_ if frame in one), max(all_, key=len, default=range(0)))


def _names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it is not there."""
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []


def takes_in(folder: Path) -> Iterator[Take]:
    """The takes of a character's folder, by name, without their frames. Folders without a manifest are not takes."""
    for name in _names_in(folder):
        if (folder / name / MANIFEST).is_file():
            yield Take.head(folder / name)


def new_folder(folder: Path) -> Path:
    """Where the next take of a character goes: `take_001`, or the first number that is free."""
    number = 1
    while (folder / f"take_{number:03d}").exists():
        number += 1
    return folder / f"take_{number:03d}"


@dataclass(frozen=True)
class Kept:
    """A take, as the question of what to delete sees it."""

    folder: Path
    size: int
    last_used: float
    in_use: bool


def too_much(kept: Iterable[Kept], cap: int) -> list[Kept]:
    """Which takes to delete so that all together hold at most `cap` bytes: the longest unused first, none in use."""
    all_ = sorted(kept, key=lambda take: take.last_used)
    total, doomed = sum(take.size for take in all_), []
    for take in all_:
        if total > cap and not take.in_use:
            doomed.append(take)
            total -= take.size
    return doomed
