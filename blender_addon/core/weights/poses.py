# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses: values of some bases by identifier, as text for the clipboard, assets and files. No bpy here.

Identifiers are stable between versions of a bundle, so a pose fits every character whose bundle has these
identifiers. A file holds any number of poses by name, like the presets of a `bundle.json`. Its lines are sorted, one
value each, so version control can compare and merge files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

KIND, FILE_KIND = "edtalk_pose", "edtalk_poses"
VERSION = 1
LARGEST = 16 * 2**20
"""Maximum bytes of a file of poses: enough for some ten thousand poses."""
MOST = 3.4e38
"""Largest absolute value: Blender and the networks use single precision, which holds no more."""
_NOT_THAT = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
"""What reading a text in another format raises."""
_FIX = "Copy a pose from an EDTalk character first."
_FILE_FIX = "Choose a file that Export Poses wrote."


def to_text(pose: Mapping[str, float]) -> str:
    """Return a pose as text."""
    return json.dumps({KIND: VERSION, "weights": _rounded(pose)})


def from_text(text: str) -> dict[str, float]:
    """Return the pose in a text of `to_text`. Raises `EDTalkError` when it holds none."""
    try:
        content = json.loads(text)
        version, weights = content[KIND], content["weights"]
        pose = {str(name): float(value) for name, value in weights.items()}
    except _NOT_THAT as error:
        raise EDTalkError(ErrorCode.UNSUPPORTED, "The clipboard holds no pose.", _FIX) from error
    if version != VERSION or not _is_sound(pose):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, "The clipboard holds a pose that this version cannot read.", _FIX
        )
    return pose


def write_file(path: Path, poses: Mapping[str, Mapping[str, float]]) -> None:
    """Write poses by name into a file, whole or not at all. Raises `EDTalkError` when that fails."""
    content = {FILE_KIND: VERSION, "poses": {name: _rounded(pose) for name, pose in poses.items()}}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        atomic_write.write(path.resolve(), text.encode())  # a link stays one
    except OSError as error:
        cause = f"The file {path} cannot be written ({error.strerror or error})."
        raise EDTalkError(ErrorCode.UNSUPPORTED, cause, "Choose another place.") from error


def read_file(path: Path) -> dict[str, dict[str, float]]:
    """Return the poses of a file by name. Raises `EDTalkError` when it holds none or cannot be read."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise ValueError(f"{size} bytes")
        text = path.read_text("utf-8-sig")  # editors on Windows write a byte order mark
        content = json.loads(text, object_pairs_hook=partial(_once, path.name))
        version = content[FILE_KIND]
        poses = {
            name: _rounded({identifier: float(value) for identifier, value in pose.items()})
            for name, pose in content["poses"].items()
        }
        "".join(poses).encode()  # raises for unpaired surrogates, which JSON can hold but names cannot
    except OSError as error:
        cause = f"The file {path} cannot be read ({error.strerror or error})."
        raise EDTalkError(ErrorCode.UNSUPPORTED, cause, _FILE_FIX) from error
    except _NOT_THAT as error:
        raise EDTalkError(ErrorCode.UNSUPPORTED, f"{path.name} is no file of poses.", _FILE_FIX) from error
    if version != VERSION or not all(map(_is_sound, poses.values())):
        cause = f"{path.name} holds poses that this version cannot read."
        raise EDTalkError(ErrorCode.UNSUPPORTED, cause, _FILE_FIX)
    return poses


def _once(file: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; refuse a name that occurs twice, as after a merge, where the last would hide the first."""
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            cause = f"{file} holds two of the name {name}."
            raise EDTalkError(ErrorCode.UNSUPPORTED, cause, "Rename one of them in the file.")
        members[name] = value
    return members


def _is_sound(pose: Mapping[str, float]) -> bool:
    return all(abs(value) <= MOST for value in pose.values())  # NaN fails, too


def _rounded(pose: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in pose.items()}
