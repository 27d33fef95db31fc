# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: baked image sequences that know what each of their frames was made from. No bpy here.

A take is a folder, `take_001/`, with one file for each frame, `0001.png`, and `take.json`, which keeps a hash for each
finished frame. The hash covers all that makes the picture, so comparing hashes says which frames are stale. A frame is
in the manifest only while its file is whole: it is taken out before it is rendered again and put back afterwards. A
crash or a cancel therefore loses nothing that was finished, and baking again goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared_protocol.errors import EDTalkError, ErrorCode

MANIFEST = "take.json"
FORMAT = 1
FLUSH_EVERY = 16
"""The manifest is written after this many frames (of long takes: a fiftieth, because writing it takes longer too); at
most as many are rendered twice after a crash."""


def frame_hash(bundle: str, source: str, weights: bytes, width: int, height: int) -> str:
    """What a frame was made from: the bundle's and the source's identity, the weights (float32 bytes) and the size."""
    digest = hashlib.sha256(f"{FORMAT}\n{bundle}\n{source}\n{width}x{height}\n".encode())
    digest.update(weights)
    return digest.hexdigest()


def folder_name(character: str) -> str:
    """A character's name as a folder name that every system takes."""
    cleaned = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", character).strip(" .") or "character"
    return f"{cleaned}_" if re.fullmatch(r"(?i)(con|prn|aux|nul|(com|lpt)\d)(\..*)?", cleaned) else cleaned


def file_name(frame: int) -> str:
    """The file of a frame in its take. Blender counts image sequences by the digits of their names."""
    return f"{frame:04d}.png"


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
    """One baked image sequence. `hashes` are of the frames that are whole on disk; `owner` is the name of the .blend
    that bakes into it (files in one folder must not overwrite each other's frames)."""

    folder: Path
    hashes: dict[int, str] = field(default_factory=dict)
    owner: str = ""
    _unsaved: int = 0

    @classmethod
    def open(cls, folder: Path) -> Take:
        """The take in `folder`; an empty one where there is none or its manifest is damaged (all frames are stale)."""
        take = cls(folder)
        try:
            content = json.loads((folder / MANIFEST).read_text("utf-8"))
            if content["format"] == FORMAT:
                take.hashes = {int(frame): str(value) for frame, value in content["frames"].items()}
                take.owner = str(content["owner"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(folder)
        return take

    def is_free_for(self, owner: str) -> bool:
        """May the .blend named `owner` bake into this folder? Pictures without a manifest are somebody else's."""
        if not (self.folder / MANIFEST).exists():
            return not any(self.folder.glob("*.png"))
        return not self.hashes or self.owner in {"", owner}

    def path(self, frame: int) -> Path:
        """Where the picture of a frame is, or will be."""
        return self.folder / file_name(frame)

    def stale(self, wanted: Mapping[int, str]) -> list[int]:
        """The frames of `wanted` (frame -> hash) that must be rendered, rising."""
        return sorted(f for f, value in wanted.items() if self.hashes.get(f) != value or not self.has(f))

    def has(self, frame: int) -> bool:
        """Is this frame finished, and its file still there?"""
        return frame in self.hashes and self.path(frame).is_file()

    def begin(self, frames: list[int]) -> None:
        """Before rendering: forget these frames, so that a half-done bake never passes for a finished one.

        Raises `EDTalkError` when the folder cannot be written.
        """
        self._make_folder()
        for frame in frames:
            self.hashes.pop(frame, None)
        self.flush()

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _disk(self.folder, error) from error

    def store(self, frame: int, value: str, data: bytes) -> None:
        """Keep one finished picture (a PNG file's bytes) and its hash."""
        _write(self.path(frame), data)
        self.hashes[frame] = value
        self._unsaved += 1
        if self._unsaved >= max(FLUSH_EVERY, len(self.hashes) // 50):
            self.flush()

    def flush(self) -> None:
        """Write the manifest."""
        frames = {str(frame): self.hashes[frame] for frame in sorted(self.hashes)}
        content = json.dumps({"format": FORMAT, "owner": self.owner, "frames": frames}, indent=0)
        _write(self.folder / MANIFEST, content.encode())
        self._unsaved = 0

    def span(self, frame: int) -> tuple[int, int]:
        """First and last frame of the unbroken run of finished frames around `frame`, which must be one of them."""
        first = last = frame
        while self.has(first - 1):
            first -= 1
        while self.has(last + 1):
            last += 1
        return first, last

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

    def adopt(self, other: Take) -> None:
        """Copy the finished frames of another take that this one has not (the file was saved since, say)."""
        for frame in sorted(set(other.hashes) - set(self.hashes)):
            if other.path(frame).is_file():
                self._make_folder()
                self.store(frame, other.hashes[frame], other.path(frame).read_bytes())
        self.flush()
