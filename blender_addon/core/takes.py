# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: baked image sequences that know what each of their frames was made from. No bpy here.

A take is a folder, `take_001/`, with one file for each frame, `0001.png`, and `take.json`, which keeps a hash for each
finished frame. The hash covers all that makes the picture, so comparing hashes says which frames are stale. A frame is
in the manifest only while its file is whole: it is taken out before it is rendered again and put back afterwards.

While a bake runs, what changes is appended to `take.log`, a line a frame; the manifest is written anew at its end. A
crash or a cancel therefore loses nothing that was finished, and baking again goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from shared_protocol.errors import EDTalkError, ErrorCode

from .tasks import Steps

log = logging.getLogger(__name__)

MANIFEST = "take.json"
JOURNAL = "take.log"
FORMAT = 2
ENCODINGS = ("png", "exr")
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_PICTURE = re.compile(r"(\d{4,})\.(png|exr)")
_OURS = re.compile(r"\d{4,}\.(?:png|exr)(?:\.part)?")
_AT_ONCE = 100
"""Files between two pauses of work that touches each file of a take."""


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
    digest = hashlib.sha256(f"{FORMAT}\n{bundle}\n{source}\n{look}\n".encode())
    digest.update(weights)
    return digest.hexdigest()


def folder_name(character: str) -> str:
    """A character's name as a folder name that every system takes."""
    cleaned = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", character).strip(" .") or "character"
    return f"{cleaned}_" if re.fullmatch(r"(?i)(con|prn|aux|nul|(com|lpt)\d)(\..*)?", cleaned) else cleaned


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _disk(path, error) from error


def _disk(path: Path, error: OSError) -> EDTalkError:
    return EDTalkError(
        ErrorCode.DISK,
        f"{path} cannot be written: {error.strerror or error}.",
        "Make room or choose a folder that you may write to, then bake again: finished frames are kept.",
    )


@dataclass
class Take:
    """One baked image sequence. `hashes` are of the frames that are whole on disk; `signatures` say what their curves
    were like (see `staleness`); `owner` is the name of the .blend that bakes into it (files in one folder must not
    overwrite each other's frames)."""

    folder: Path
    look: Look = Look()
    owner: str = ""
    hashes: dict[int, str] = field(default_factory=dict)
    signatures: dict[int, str] = field(default_factory=dict)
    _on_disk: tuple[Look, str] | None = None

    @classmethod
    def open(cls, folder: Path) -> Take:
        """The take in `folder`; an empty one where there is none or its manifest is damaged (all frames are stale)."""
        try:
            content = json.loads((folder / MANIFEST).read_text("utf-8"))
            if content["format"] != FORMAT:
                return cls(folder)
            take = cls(folder, Look(**content["look"]), str(content["owner"]))
            take.hashes = {int(frame): str(value) for frame, value in content["frames"].items()}
            take.signatures = {int(frame): str(value) for frame, value in content["signatures"].items()}
            take._on_disk = take.look, take.owner
        except _DAMAGED:
            return cls(folder)
        take._replay()
        return take

    # --- what is there -------------------------------------------------------------------------------------

    def is_free_for(self, owner: str) -> bool:
        """May the .blend named `owner` bake into this folder? Pictures without a manifest are somebody else's."""
        if not (self.folder / MANIFEST).exists():
            return not self._pictures()
        return not self.hashes or self.owner in {"", owner}

    def file_name(self, frame: int) -> str:
        """The file of a frame. Blender counts image sequences by the digits of their names."""
        return f"{frame:04d}.{self.look.encoding}"

    def path(self, frame: int) -> Path:
        """Where the picture of a frame is, or will be."""
        return self.folder / self.file_name(frame)

    def finished(self) -> set[int]:
        """The frames that are finished and whose files are still there."""
        there = {number for number, encoding in self._pictures() if encoding == self.look.encoding}
        return there & self.hashes.keys()

    def stale(self, wanted: Mapping[int, str]) -> list[int]:
        """The frames of `wanted` (frame -> hash) that must be rendered, rising."""
        there = self.finished()
        return sorted(
            frame for frame, value in wanted.items() if frame not in there or self.hashes[frame] != value
        )

    def has(self, frame: int) -> bool:
        """Is this frame finished, and its file still there?"""
        return frame in self.hashes and self.path(frame).is_file()

    def span(self, frame: int) -> tuple[int, int]:
        """First and last frame of the unbroken run of finished frames around `frame`, which must be one of them."""
        there, first, last = self.finished(), frame, frame
        while first - 1 in there:
            first -= 1
        while last + 1 in there:
            last += 1
        return first, last

    # --- baking --------------------------------------------------------------------------------------------

    def begin(self, frames: Iterable[int]) -> None:
        """Before rendering: forget these frames, so that a half-done bake never passes for a finished one.

        Raises `EDTalkError` when the folder cannot be written.
        """
        self._make_folder()
        forgotten = [frame for frame in frames if self.hashes.pop(frame, None)]
        if self._on_disk != (self.look, self.owner):
            self.flush()
        else:
            self._note("".join(f"- {frame}\n" for frame in forgotten))

    def store(self, frame: int, value: str, data: bytes, signature: str = "") -> None:
        """Keep one finished picture (an image file's bytes), its hash and what its curves were like."""
        _write(self.path(frame), data)
        self.hashes[frame], self.signatures[frame] = value, signature
        self._note(f"+ {frame} {value} {signature}\n")

    def sign(self, signatures: Mapping[int, str]) -> None:
        """The finished frames' curves are like this now, and their pictures still the same."""
        fresh = {frame: value for frame, value in signatures.items() if frame in self.hashes}
        if any(self.signatures.get(frame) != value for frame, value in fresh.items()):
            self.signatures |= fresh
            self.flush()

    def flush(self) -> None:
        """Write the manifest."""
        content = {
            "format": FORMAT,
            "owner": self.owner,
            "look": asdict(self.look),
            "frames": {str(frame): self.hashes[frame] for frame in sorted(self.hashes)},
            "signatures": {str(frame): self.signatures.get(frame, "") for frame in sorted(self.hashes)},
        }
        _write(self.folder / MANIFEST, json.dumps(content, indent=0).encode())
        (self.folder / JOURNAL).unlink(missing_ok=True)
        self._on_disk = self.look, self.owner

    def hold_before(self, first: int) -> None:
        """Let the picture before the first be there too, as a copy that no manifest lists.

        Blender shows file `first - 1` at all scene frames before a sequence begins, and magenta where it is missing.
        (There is no file before number 0: there Blender takes 0 itself.)
        """
        if first > 0 and not self.has(first - 1):
            if self.hashes.pop(first - 1, None):  # its file was deleted: the copy must not pass for it
                self.flush()
            try:
                shutil.copyfile(self.path(first), self.path(first - 1))
            except OSError as error:
                raise _disk(self.path(first - 1), error) from error

    def adopt(self, other: Take) -> Steps[None]:
        """Copy the finished frames of another take that this one has not (the file was saved since, say), a few at a
        time. Takes with another look have nothing to give."""
        missing = sorted(other.finished() - self.hashes.keys()) if self.look.is_like(other.look) else []
        if missing:
            self.begin(())
        for frame in missing:
            signature = other.signatures.get(frame, "")
            self.store(frame, other.hashes[frame], other.path(frame).read_bytes(), signature)
            yield
        if missing:
            self.flush()

    # --- the folder ----------------------------------------------------------------------------------------

    @property
    def last_used(self) -> float:
        """When it was baked into or shown last (seconds since 1970); 0 for one that is not there."""
        try:
            return (self.folder / MANIFEST).stat().st_mtime
        except OSError:
            return 0.0

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
                    if number % _AT_ONCE == _AT_ONCE - 1:
                        yield
        except OSError as error:
            log.info("the size of %s is not known: %s", self.folder, error)
        return total

    def delete(self) -> Steps[None]:
        """Delete the take's own files, a few at a time, and the folder when nothing else is in it.

        Raises `EDTalkError` when a file cannot be deleted.
        """
        try:
            names = [name for name in _names_in(self.folder) if _OURS.fullmatch(name)]
            for number, name in enumerate(names):
                (self.folder / name).unlink(missing_ok=True)
                if number % _AT_ONCE == _AT_ONCE - 1:
                    yield
            for name in (JOURNAL, MANIFEST):
                (self.folder / name).unlink(missing_ok=True)
            if not _names_in(self.folder):
                self.folder.rmdir()
        except OSError as error:
            raise EDTalkError(
                ErrorCode.DISK,
                f"{error.filename or self.folder} cannot be deleted: {error.strerror}.",
                "Close what uses it, or delete the folder by hand.",
            ) from error

    # --- inside --------------------------------------------------------------------------------------------

    def _pictures(self) -> list[tuple[int, str]]:
        """Number and encoding of all pictures in the folder, whoever made them."""
        matches = (_PICTURE.fullmatch(name) for name in _names_in(self.folder))
        return [(int(match[1]), match[2]) for match in matches if match]

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _disk(self.folder, error) from error

    def _note(self, lines: str) -> None:
        """Append to the journal."""
        if lines:
            try:
                with (self.folder / JOURNAL).open("a", encoding="utf-8") as file:
                    file.write(lines)
            except OSError as error:
                raise _disk(self.folder / JOURNAL, error) from error

    def _replay(self) -> None:
        """What happened since the manifest was written: a bake was broken off, or is running. The last line may be cut
        off; a frame that is not noted whole is not finished."""
        try:
            lines = (self.folder / JOURNAL).read_text("utf-8", errors="replace").splitlines(keepends=True)
        except OSError:
            return
        for line in lines:
            match line.endswith("\n") and line[:-1].split(" "):
                case ["+", frame, value, signature] if frame.isdecimal():
                    self.hashes[int(frame)], self.signatures[int(frame)] = value, signature
                case ["-", frame] if frame.isdecimal():
                    self.hashes.pop(int(frame), None)
                case _:
                    log.info("a line of %s is not whole", self.folder / JOURNAL)


def _names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it is not there."""
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []


def takes_in(folder: Path) -> Iterator[Take]:
    """The takes of a character's folder, by name. Folders without a manifest are not takes."""
    for name in _names_in(folder):
        if (folder / name / MANIFEST).is_file():
            yield Take.open(folder / name)


def new_folder(folder: Path) -> Path:
    """Where the next take of a character goes: `take_001`, or the first number after all that are there."""
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
