"""The cache of prepared clips. A clip's folder is there as a whole or not at all, so a run may be killed at any moment.

cache.json                 size of the pictures, and which bundle estimated the landmarks
clips/<key>/clip.json      `ClipRecord`
clips/<key>/frames.bin     the pictures one after the other, as JPEG without colour subsampling
clips/<key>/index.npy      int64 [T + 1]: where each begins and the last ends
clips/<key>/landmarks.npy  float32 [T, 68, 2] in 0..1 of the picture
clips/<key>/voice.flac     the sound, mono, 16 kHz, from the first picture on (where there is any)
skipped/<key>.json         `SkipRecord`: a clip that is not good enough, and why
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Floats
from edtalk_server.media.audio.mel import mel_spectrogram, window_indices
from edtalk_server.media.audio.voice import load_voice
from edtalk_server.media.faces.portrait import Picture
from edtalk_server.media.video.sequence import disk_error, make_folder, write_whole
from shared_protocol.errors import EDTalkError, ErrorCode

_FORMAT = "edtalk-film-1"
_JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]

Run = tuple[int, int, int]
"""A stretch that shows the face without a cut: first frame, the one after the last, and the number of the shot."""


@dataclass(frozen=True)
class ClipRecord:
    """The description of a prepared clip. `stamp` tells whether the video is still the same file."""

    name: str
    person: str
    emotion: str
    level: int
    frames: int
    runs: tuple[Run, ...]
    has_sound: bool
    notes: tuple[str, ...]
    stamp: str

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClipRecord:
        """Return the record of JSON values, where tuples are lists."""
        runs = tuple((int(a), int(b), int(shot)) for a, b, shot in values["runs"])
        return cls(**{**values, "runs": runs, "notes": tuple(values["notes"])})


@dataclass(frozen=True)
class SkipRecord:
    """A clip that was left out; `reason` is a sentence."""

    name: str
    reason: str
    stamp: str


class FilmCache:
    """A folder of prepared clips; several processes may fill it together, each with other clips."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._about = folder / "cache.json"

    def begin(self, size: int, bundle: str) -> None:
        """Create the cache for pictures of `size` pixels, with landmarks by the bundle of that digest, or check it.

        `EDTalkError(BAD_MESSAGE)` when it was made for others.
        """
        about = {"format": _FORMAT, "size": size, "bundle": bundle}
        if not self._about.is_file():
            make_folder(self.folder / "clips")
            make_folder(self.folder / "skipped")
            write_whole(self._about, json.dumps(about, indent=1).encode())
        if self._described() != about:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                f"The cache {self.folder} was made for pictures of another size, or by another bundle.",
                "Give the same --size and --bundle as before, or another --out folder.",
            )

    def check(self) -> None:
        """Raise `EDTalkError(NOT_READY)` when the folder is not a cache."""
        self._described()

    @property
    def size(self) -> int:
        """Side of the pictures in pixels; `EDTalkError(NOT_READY)` when this is not a cache."""
        return int(self._described()["size"])

    def _described(self) -> dict[str, Any]:
        try:
            values = json.loads(self._about.read_bytes())
        except (OSError, ValueError) as error:
            raise _no_cache(self.folder) from error
        if not isinstance(values, dict) or values.get("format") != _FORMAT:
            raise _no_cache(self.folder)
        return values

    # --- what is in it ---

    def records(self) -> dict[Path, ClipRecord]:
        """Return all prepared clips by their folders, sorted."""
        paths = sorted((self.folder / "clips").glob("[!.]*/clip.json"))
        return {path.parent: ClipRecord.from_dict(json.loads(path.read_bytes())) for path in paths}

    def skipped(self) -> list[SkipRecord]:
        """Return all clips that were left out, sorted by name."""
        paths = (self.folder / "skipped").glob("[!.]*.json")
        return sorted((SkipRecord(**json.loads(path.read_bytes())) for path in paths), key=lambda r: r.name)

    def known_stamp(self, name: str) -> str:
        """Return the stamp of the video when its clip was prepared or skipped; empty when it was neither."""
        for path in (self.clip_folder(name) / "clip.json", self._skip_file(name)):
            with suppress(FileNotFoundError):
                return str(json.loads(path.read_bytes())["stamp"])
        return ""

    def clip_folder(self, name: str) -> Path:
        """Return the folder of a clip, which may not exist yet."""
        return self.folder / "clips" / _key(name)

    def _skip_file(self, name: str) -> Path:
        return self.folder / "skipped" / f"{_key(name)}.json"

    # --- putting in and taking out ---

    def skip(self, record: SkipRecord) -> None:
        """Record that a clip is left out."""
        self.forget(record.name)
        write_whole(self._skip_file(record.name), _json(asdict(record)))

    def forget(self, name: str) -> None:
        """Remove a clip and its skip record (its video has changed)."""
        self._skip_file(name).unlink(missing_ok=True)
        folder = self.clip_folder(name)
        if folder.is_dir():  # renamed first: it goes whole, or not at all
            gone = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(gone, ignore_errors=True)
            shutil.rmtree(folder.rename(gone))


class ClipWriter:
    """Fills a clip's folder under a hidden name; `finish` makes it appear, an error before that removes it."""

    def __init__(self, cache: FilmCache, name: str) -> None:
        self._cache, self._name = cache, name
        target = cache.clip_folder(name)
        self.folder = target.with_name(f".{target.name}.part")
        self._ends = [0]

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        make_folder(self.folder)
        self._file = (self.folder / "frames.bin").open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # `finish` has renamed it

    def add(self, pictures: Sequence[Picture]) -> None:
        """Append frames, uint8 [size, size, 3] RGB."""
        for picture in pictures:
            encoded, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _JPEG)
            if not encoded:
                raise ValueError(f"a frame of shape {picture.shape} cannot be encoded")
            self._write(data.tobytes())

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise disk_error(self.folder, error) from error
        self._ends.append(self._ends[-1] + len(data))

    def finish(self, record: ClipRecord, landmarks: npt.NDArray[np.float32]) -> None:
        """Complete the clip and make it appear; raises `EDTalkError(DISK)`."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            np.save(self.folder / "index.npy", np.array(self._ends, np.int64))
            np.save(self.folder / "landmarks.npy", landmarks.astype(np.float32))
            write_whole(self.folder / "clip.json", _json(asdict(record)))
            self._cache.forget(self._name)
            self.folder.rename(self._cache.clip_folder(self._name))
        except OSError as error:
            raise disk_error(self.folder, error) from error


class StoredClip:
    """A prepared clip's pictures, landmarks and sound, read on demand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._frames = np.memmap(folder / "frames.bin", np.uint8, "r")
        self._index = np.load(folder / "index.npy", mmap_mode="r")
        self._landmarks = np.load(folder / "landmarks.npy", mmap_mode="r")

    def pictures(self, numbers: Sequence[int]) -> Picture:
        """Return frames uint8 [N, S, S, 3] RGB."""
        return np.stack([self._picture(number) for number in numbers])

    def _picture(self, number: int) -> Picture:
        data = self._frames[self._index[number] : self._index[number + 1]]
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def landmarks(self, numbers: Sequence[int]) -> npt.NDArray[np.float32]:
        """Return landmarks float32 [N, 68, 2] in 0..1."""
        return np.array(self._landmarks[list(numbers)], np.float32)

    def voice(self, numbers: Sequence[int]) -> Floats:
        """Return the mel windows float32 [N, 80, 16] of these frames (25 a second); the clip must have sound."""
        columns = window_indices(len(self._landmarks), len(self._mel))[list(numbers)]
        return np.ascontiguousarray(self._mel[columns].transpose(0, 2, 1))

    @cached_property
    def _mel(self) -> Floats:
        return mel_spectrogram(load_voice(self._folder / "voice.flac").samples)


def stamp_of(path: Path) -> str:
    """Return size and time of a file, to notice that it has changed."""
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _key(name: str) -> str:
    """Return a file name for a clip: readable, and different for different clips."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[-80:]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


def _no_cache(folder: Path) -> EDTalkError:
    return EDTalkError(
        ErrorCode.NOT_READY,
        f"{folder} is not a cache of prepared clips.",
        "Make one first: `edtalk train video-data DIR --out CACHE`.",
    )
