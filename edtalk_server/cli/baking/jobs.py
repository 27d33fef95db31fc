"""The file of `edtalk bake-many` (docs/scaling.md is the normative page)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from edtalk_server.media.video import sequence
from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import MOST_BLINKS, MOST_GAIN, MOST_HEAD, MOST_TEMPERATURE, Crop
from shared_protocol.timebase import frame_rate

FORMAT, FORMAT_VERSION = "edtalk-jobs", 1
MOST_SHOTS = 100_000
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of a file of jobs."""


@dataclass(frozen=True)
class Shot:
    """One shot: its portrait, what is said, and where its frames go. `options` are those of `api.perform`."""

    name: str
    portrait: Path
    output: Path
    voice: Path | None = None
    transcript: Path | None = None
    weights: Path | None = None
    movie: Path | None = None
    fps: Fraction | None = None
    crop: Crop | None = None
    full: bool = False
    alpha: bool = False
    size: int = 512
    options: Mapping[str, Any] = field(default_factory=dict)


def read(file: Path) -> list[Shot]:
    """Read a file of jobs; paths in it are relative to its folder. Raises `EDTalkError(UNSUPPORTED)` that names the
    shot and the field at fault."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise _bad("it is larger than 64 MiB")
        values = json.loads(file.read_bytes())
    except OSError as error:
        raise _bad(f"it cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise _bad(f"it is not JSON ({error})") from error
    return _shots(values, file.parent)


def _shots(values: Any, folder: Path) -> list[Shot]:
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise _bad(f'it does not say "format": "{FORMAT}"')
    if values.get("format_version") != FORMAT_VERSION:
        raise _bad(f"this program reads format_version {FORMAT_VERSION}")
    if surplus := set(values) - {"format", "format_version", "defaults", "shots"}:
        raise _bad(f"{min(surplus)} is not a known field")
    defaults, shots = values.get("defaults", {}), values.get("shots")
    if not isinstance(shots, list) or not 1 <= len(shots) <= MOST_SHOTS or not isinstance(defaults, dict):
        raise _bad(f"shots must be a list of 1 to {MOST_SHOTS}, and defaults an object")
    found = [_shot(index, shot, defaults, folder) for index, shot in enumerate(shots, 1)]
    _check_apart(found)
    return found


def _shot(index: int, values: Any, defaults: Mapping[str, Any], folder: Path) -> Shot:
    if not isinstance(values, dict):
        raise _bad(f"shot {index} must be an object")
    given = {**defaults, **values}
    name = str(given.pop("name", f"shot {index}"))
    place = f"shot {index} ({name})"
    if missing := [one for one in ("portrait", "output") if one not in given]:
        raise _bad(f"{place}: {missing[0]} is missing")
    read: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _FIELDS:
            raise _bad(f"{place}: {key} is not a known field")
        try:
            read[key] = _FIELDS[key](value)
        except (ValueError, TypeError, ArithmeticError, EDTalkError) as error:
            raise _bad(f"{place}: {key} cannot be {json.dumps(value)[:80]} ({error})") from error
    if not any(read.get(one) for one in ("voice", "transcript", "weights")):
        raise _bad(f"{place}: there is neither a voice, nor a transcript, nor weights")
    paths = {key: folder / read.pop(key) for key in _PATHS if read.get(key) is not None}
    known = {key: read.pop(key) for key in ("fps", "crop", "full", "alpha", "size") if key in read}
    return Shot(name, **paths, **known, options=read)


def _check_apart(shots: list[Shot]) -> None:
    """Raise `EDTalkError` where two shots would write the same files."""
    writers: dict[Path, Shot] = {}
    for shot in shots:
        for path in filter(None, (shot.output, shot.movie)):
            other = writers.setdefault(path.absolute(), shot)
            if other is not shot:
                raise _bad(f"{other.name} and {shot.name} both write {path.name}")


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("it must be a path")
    return Path(value)


def _pattern(value: Any) -> Path:
    path = _path(value)
    sequence.check_pattern(path)
    return path


def _film(value: Any) -> Path:
    path = _path(value)
    if path.suffix.lower() not in sequence.MOVIES:
        raise ValueError(f"it must end in {', '.join(sequence.MOVIES)}")
    return path


def _number(lowest: float, most: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= most:
            raise ValueError(f"it must be a number from {lowest:g} to {most:g}")
        return float(value)

    return read


def _whole(lowest: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= most:
            raise ValueError(f"it must be a whole number from {lowest} to {most}")
        return value

    return read


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be text")
    return value


def _rate(value: Any) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('it must be a number, or a text such as "30000/1001"')
    return frame_rate(value)


def _crop(value: Any) -> Crop:
    numbers = [_number(-1e5, 1e5)(one) for one in value] if isinstance(value, list) else []
    if len(numbers) not in (3, 4):
        raise ValueError("it must be [x, y, side] or [x, y, side, roll]")
    return Crop(*numbers)


def _banks(value: Any) -> tuple[Bank, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"it must be a list of {', '.join(Bank)}")
    return tuple(map(Bank, value))


_PATHS = ("portrait", "output", "voice", "transcript", "weights", "movie")
_FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_PATHS, _path),
    "output": _pattern,
    "movie": _film,
    "fps": _rate,
    "crop": _crop,
    "full": _yes_or_no,
    "alpha": _yes_or_no,
    "size": _whole(1, 4096),
    "blinks": _number(0, MOST_BLINKS),
    "head": _number(0, MOST_HEAD),
    "seed": _whole(-(2**31), 2**31),
    "language": _text,
    "emotion": _text,
    "emotion_gain": _number(0, MOST_GAIN),
    "temperature": _number(0, MOST_TEMPERATURE),
    "banks": _banks,
}


def _bad(reason: str) -> EDTalkError:
    cause = f"The file of jobs cannot be used: {reason}."
    return EDTalkError(ErrorCode.UNSUPPORTED, cause, "Correct it (docs/scaling.md tells its format).")
