"""Finds the clips in a folder, with person and emotion by their names: HDTF, MEAD, or any folder of videos."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edtalk_server.media.video.reader import SUFFIXES
from shared_protocol.errors import EDTalkError, ErrorCode

EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
"""MEAD's names of the emotions."""

_MEAD = re.compile(
    r"(?:^|/)(?P<person>[^/]+)/video/(?P<view>[^/]+)/(?P<emotion>[^/]+)/level_(?P<level>\d+)/[^/]+$"
)
_MEAD_VIEW = "front"
_HDTF_NUMBERS = re.compile(r"(_\d+)+(#\d+)?$")
_SOUNDS = (".m4a", ".wav", ".flac", ".mp3", ".aac")


class Layout(StrEnum):
    """How a folder is laid out; `auto` looks at its names.

    `hdtf`: flat, `SPEAKER_number.mp4`, or its pieces, `SPEAKER_number#piece.mp4`. `mead`:
    `PERSON/video/front/EMOTION/level_N/NUMBER.mp4`, with the sound in `PERSON/audio/EMOTION/level_N/NUMBER.m4a`.
    `folder`: any; each folder at the top is a person, each single clip too.
    """

    AUTO = "auto"
    HDTF = "hdtf"
    MEAD = "mead"
    FOLDER = "folder"


@dataclass(frozen=True)
class Footage:
    """A video of one person. `name` is its path in the data set; `emotion` is one of `EMOTIONS` or empty, `level` its
    strength (0: unknown); `sound` is the file of its sound where that is not in the video."""

    path: Path
    name: str
    person: str
    emotion: str = ""
    level: int = 0
    sound: Path | None = None


def find_footage(folder: Path, layout: Layout = Layout.AUTO) -> list[Footage]:
    """Return all clips of a data set, sorted by name; `EDTalkError(NOT_READY)` when there is none of that layout."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    chosen = recognised(names) if layout is Layout.AUTO else layout
    footage = [clip for name in names if (clip := _described(folder, name, chosen)) is not None]
    if not footage:
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"There is no video in {folder}" + (f" in the layout {chosen}." if names else "."),
            f"Put clips of one face each there ({', '.join(sorted(SUFFIXES))}), or name another --layout.",
        )
    return footage


def recognised(names: Iterable[str]) -> Layout:
    """Return the layout that these paths (with `/`) suggest."""
    known = list(names)
    if any(_MEAD.search(name) for name in known):
        return Layout.MEAD
    if known and all("/" not in name and _HDTF_NUMBERS.search(Path(name).stem) for name in known):
        return Layout.HDTF
    return Layout.FOLDER


def _described(folder: Path, name: str, layout: Layout) -> Footage | None:
    path = folder / name
    match layout:
        case Layout.MEAD:
            return _of_mead(path, name)
        case Layout.HDTF:
            return Footage(path, name, _HDTF_NUMBERS.sub("", path.stem) or path.stem)
        case _:
            return Footage(path, name, name.split("/")[0] if "/" in name else path.stem)


def _of_mead(path: Path, name: str) -> Footage | None:
    """Describe a clip of MEAD; None for another view than the front one, and for a file outside the data set's
    layout."""
    match = _MEAD.search(name)
    if match is None or match["view"] != _MEAD_VIEW:
        return None
    emotion = match["emotion"] if match["emotion"] in EMOTIONS else ""
    beside = path.parents[4] / "audio" / match["emotion"] / f"level_{match['level']}" / path.stem
    sounds = (beside.with_name(beside.name + ending) for ending in _SOUNDS)
    sound = next((path for path in sounds if path.is_file()), None)
    return Footage(path, name, match["person"], emotion, int(match["level"]), sound)
