"""`bundle.json`, strictly as in docs/bundles.md, the normative page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from shared_protocol.banks import NATURAL_POSE, Bank, BankLayout, Basis
from shared_protocol.errors import EDTalkError, ErrorCode

FORMAT = "edtalk-bundle"
FORMAT_VERSIONS = (1, 2)
"""Versions that this program reads; it writes the lowest that a bundle fits in."""
MANIFEST_FILE = "bundle.json"
ROLES = ("face", "lip_pose", "audio_to_lip", "landmarks", "audio_to_pose", "semantics", "sync")
"""The networks that a bundle may have."""
PHOTO_MOVERS = ("compact", "fake")
"""Kinds of face networks that move the photo itself: they also move one that is finer than their own pictures. (The
engine that stands in for a model knows the same sizes.)"""
FINEST = 4
"""The largest pictures of such networks, in multiples of their own size."""
_SINCE_2 = ("audio_to_pose", "semantics", "sync", "pose_map")
"""Fields that came with version 2."""
_LARGEST_FACTOR = 1e4
"""Of a pose map: a bundle's weights are not that far from natural units."""

MOST_PIXELS = 4096
"""Largest side of a bundle's pictures."""
_LARGEST_NUMBER = 1e9
_LARGEST_INTEGER = 2**53
"""Integers that all readers of JSON know exactly; no file is as large."""

PoseMap = tuple[tuple[float, ...], ...]

T = TypeVar("T")


def invalid(cause: str, fix: str = "Use a complete, unchanged bundle (see docs/bundles.md).") -> EDTalkError:
    """Return the error of this package: a bundle that cannot be used, with cause and fix."""
    return EDTalkError(ErrorCode.BUNDLE_INVALID, cause, fix)


@dataclass(frozen=True)
class NetworkPart:
    """One network of a bundle: its kind, the config it is built from, and the file of its tensors."""

    kind: str
    config: Mapping[str, Any]
    file: str


@dataclass(frozen=True)
class FileEntry:
    """Identity of a file: lower-case hexadecimal SHA-256 and bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Statistic:
    """One basis weight in the training performances, and how well the bundle estimates and renders it.

    1 % of the frames are below `low`, 1 % above `high`. `read` is the share of the weight's variance that the bundle's
    motion encoder explains in pictures of people it was never trained on: 1 is all, 0 no more than the mean. `drawn` is
    the correlation of the rendered with the true change of a picture when the weight moves: 1 is the movement that the
    basis is named after, -1 its opposite. None: not measured.
    """

    mean: float
    deviation: float
    low: float | None = None
    high: float | None = None
    read: float | None = None
    drawn: float | None = None

    def to_dict(self) -> dict[str, float]:
        """Return the known values by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class BundleManifest:
    """The content of `bundle.json`. `files` may be empty before `bundles.save` has written them.

    `pose_map` has a row for each pose basis: its change for one unit of each natural movement (`banks.NATURAL_POSE`).
    """

    name: str
    title: str
    version: str
    licence: str
    size: int
    face: NetworkPart
    layout: BankLayout
    lip_pose: NetworkPart | None = None
    audio_to_lip: NetworkPart | None = None
    landmarks: NetworkPart | None = None
    audio_to_pose: NetworkPart | None = None
    semantics: NetworkPart | None = None
    sync: NetworkPart | None = None
    pose_map: PoseMap | None = None
    presets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    description: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sides in pixels that face pictures can have, rising; the first is `size`."""
        finest = FINEST if self.face.kind in PHOTO_MOVERS else 1
        return tuple(self.size * factor for factor in range(1, finest + 1))

    def parts(self) -> dict[str, NetworkPart]:
        """Return the networks that this bundle has, by role."""
        return {role: part for role in ROLES if (part := getattr(self, role)) is not None}

    @property
    def format_version(self) -> int:
        """Return the lowest version of the format that can hold this bundle."""
        return 2 if self.newer_fields() else 1

    def newer_fields(self) -> tuple[str, ...]:
        """Return the fields of this bundle that version 1 of the format does not have."""
        return tuple(name for name in _SINCE_2 if getattr(self, name) is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads."""
        values: dict[str, Any] = {
            "format": FORMAT,
            "format_version": self.format_version,
            "name": self.name,
            "title": self.title,
            "version": self.version,
            "licence": self.licence,
            "description": self.description,
            "size": self.size,
        }
        for role, part in self.parts().items():
            values[role] = {"kind": part.kind, "config": dict(part.config), "file": part.file}
        values["bases"] = [_basis_to_dict(basis) for basis in self.layout.bases]
        values["presets"] = {name: dict(preset) for name, preset in self.presets.items()}
        if self.statistics:
            values["statistics"] = {name: statistic.to_dict() for name, statistic in self.statistics.items()}
        if self.pose_map is not None:
            values["pose_map"] = [list(row) for row in self.pose_map]
        values["files"] = {n: {"sha256": e.sha256, "size": e.size} for n, e in sorted(self.files.items())}
        return values

    def to_json(self) -> str:
        """Return the text of `bundle.json`."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def public_json(self) -> str:
        """Return what clients receive: the text of `bundle.json` without networks, files and pose map, and `sizes`."""
        values = self.to_dict() | {"sizes": self.sizes}
        private = (*ROLES, "files", "pose_map")
        return json.dumps({name: values[name] for name in values if name not in private})

    @classmethod
    def from_json(cls, text: str | bytes) -> BundleManifest:
        """Read the text of `bundle.json`. Raises `EDTalkError(BUNDLE_INVALID)` that names the fault."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise invalid(f"{MANIFEST_FILE} is not JSON: {error}.") from error
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Any) -> BundleManifest:
        """Check and convert a JSON object. Raises `EDTalkError(BUNDLE_INVALID)` that names the wrong field."""
        reader = _Object(values, MANIFEST_FILE)
        version = _format_version(reader)
        manifest = cls(
            name=reader.get("name", _name),
            title=reader.get("title", _text),
            version=reader.get("version", _text),
            licence=reader.get("licence", _text),
            description=reader.get("description", _text, ""),
            size=reader.get("size", _side),
            face=reader.get("face", _part),
            lip_pose=reader.get("lip_pose", _part, None),
            audio_to_lip=reader.get("audio_to_lip", _part, None),
            landmarks=reader.get("landmarks", _part, None),
            audio_to_pose=reader.get("audio_to_pose", _part, None),
            semantics=reader.get("semantics", _part, None),
            sync=reader.get("sync", _part, None),
            pose_map=reader.get("pose_map", _pose_map, None),
            layout=reader.get("bases", _layout),
            presets=reader.get("presets", _object_of(_object_of(_number)), {}),
            statistics=reader.get("statistics", _object_of(_statistic), {}),
            files=reader.get("files", _object_of(_file_entry)),
        )
        reader.end()
        _check_version(manifest, version)
        _check_pose_map(manifest)
        _check_references(manifest)
        return manifest


def _format_version(reader: _Object) -> int:
    if reader.get("format", _text) != FORMAT:
        raise invalid(f"{MANIFEST_FILE} is not an EDTalk bundle's (its format is not {FORMAT!r}).")
    version = reader.get("format_version", _positive)
    if version not in FORMAT_VERSIONS:
        known = " and ".join(str(known) for known in FORMAT_VERSIONS)
        raise invalid(
            f"The bundle has format version {version}; this program reads versions {known}.",
            "Update the program, or use a bundle made for it.",
        )
    return version


def _check_version(manifest: BundleManifest, version: int) -> None:
    if manifest.format_version > version:
        field = manifest.newer_fields()[0]
        raise invalid(f"{MANIFEST_FILE}: {field} needs format version {manifest.format_version}.")


def _check_pose_map(manifest: BundleManifest) -> None:
    bases = manifest.layout.slice_of(Bank.POSE)
    if manifest.pose_map is not None and len(manifest.pose_map) != bases.stop - bases.start:
        raise invalid(f"pose_map must have a row for each of the {bases.stop - bases.start} pose bases.")


def _check_references(manifest: BundleManifest) -> None:
    known = {basis.identifier for basis in manifest.layout.bases}
    for preset, values in manifest.presets.items():
        for identifier in values:
            if identifier not in known:
                raise invalid(
                    f"Preset {preset!r} names the basis {identifier!r}, which the bundle does not have."
                )
    for identifier in manifest.statistics:
        if identifier not in known:
            raise invalid(f"statistics names the basis {identifier!r}, which the bundle does not have.")
    for role, part in manifest.parts().items():
        if part.file not in manifest.files:
            raise invalid(f"{role} uses the file {part.file!r}, which is not listed in files.")


def _basis_to_dict(basis: Basis) -> dict[str, Any]:
    return {
        "identifier": basis.identifier,
        "name": basis.name,
        "bank": basis.bank.value,
        "minimum": basis.minimum,
        "maximum": basis.maximum,
        "description": basis.description,
    }


# --- reading: each function takes (value, place) and returns the checked value ---

_REQUIRED = object()


class _Object:
    """A JSON object whose fields are read one by one; `end` refuses the rest."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise invalid(f"{place} must be a JSON object.")
        self._rest = dict(value)
        self._place = place

    def get(self, name: str, read: Callable[[Any, str], T], default: Any = _REQUIRED) -> T:
        place = f"{self._place}: {name}"
        if name not in self._rest:
            if default is _REQUIRED:
                raise invalid(f"{place} is missing.")
            return default  # type: ignore[no-any-return]
        return read(self._rest.pop(name), place)

    def end(self) -> None:
        if self._rest:
            raise invalid(f"{self._place}: {min(self._rest)} is not a known field.")


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise invalid(f"{place} must be text.")
    return value


def _name(value: Any, place: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", _text(value, place)):
        raise invalid(f"{place} must be up to 64 letters, digits, '.', '_' or '-'.")
    return str(value)


def _file_name(value: Any, place: str) -> str:
    name = _text(value, place)
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise invalid(f"{place} must be a plain file name, not {name!r}.")
    return name


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST_NUMBER:
        raise invalid(f"{place} must be a finite number.")
    return float(value)


def _positive(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_INTEGER:
        raise invalid(f"{place} must be a positive integer.")
    return value


def _side(value: Any, place: str) -> int:
    if _positive(value, place) > MOST_PIXELS:
        raise invalid(f"{place} must be at most {MOST_PIXELS}.")
    return int(value)


def _object_of(read: Callable[[Any, str], T]) -> Callable[[Any, str], dict[str, T]]:
    def reader(value: Any, place: str) -> dict[str, T]:
        if not isinstance(value, dict):
            raise invalid(f"{place} must be a JSON object.")
        return {name: read(item, f"{place}: {name}") for name, item in value.items()}

    return reader


def _part(value: Any, place: str) -> NetworkPart:
    reader = _Object(value, place)
    part = NetworkPart(
        kind=reader.get("kind", _text),
        config=reader.get("config", _object_of(lambda item, _place: item)),
        file=reader.get("file", _file_name),
    )
    reader.end()
    return part


def _file_entry(value: Any, place: str) -> FileEntry:
    reader = _Object(value, place)
    entry = FileEntry(sha256=reader.get("sha256", _text), size=reader.get("size", _positive))
    reader.end()
    if not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
        raise invalid(f"{place}: sha256 must be 64 lower-case hexadecimal digits.")
    _file_name(place.rpartition(": ")[2], place)
    return entry


def _statistic(value: Any, place: str) -> Statistic:
    reader = _Object(value, place)
    known = {name: reader.get(name, _number, None) for name in ("low", "high", "read", "drawn")}
    statistic = Statistic(reader.get("mean", _number), reader.get("deviation", _number), **known)
    reader.end()
    return statistic


def _pose_map(value: Any, place: str) -> PoseMap:
    if not isinstance(value, list):
        raise invalid(f"{place} must be a list of rows.")
    return tuple(_pose_row(row, f"{place}[{i}]") for i, row in enumerate(value))


def _pose_row(value: Any, place: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != len(NATURAL_POSE):
        raise invalid(f"{place} must have {len(NATURAL_POSE)} numbers ({', '.join(NATURAL_POSE)}).")
    row = tuple(_number(item, place) for item in value)
    if any(abs(item) > _LARGEST_FACTOR for item in row):
        raise invalid(f"{place} must lie within ±{_LARGEST_FACTOR:g}.")
    return row


def _layout(value: Any, place: str) -> BankLayout:
    if not isinstance(value, list) or not value:
        raise invalid(f"{place} must be a list with at least one basis.")
    bases = tuple(_basis(item, f"{place}[{i}]") for i, item in enumerate(value))
    try:
        return BankLayout(bases)
    except ValueError as error:
        raise invalid(f"{place}: {error}.") from error


def _basis(value: Any, place: str) -> Basis:
    reader = _Object(value, place)
    basis = Basis(
        identifier=reader.get("identifier", _text),
        name=reader.get("name", _text),
        bank=reader.get("bank", _bank),
        minimum=reader.get("minimum", _number),
        maximum=reader.get("maximum", _number),
        description=reader.get("description", _text, ""),
    )
    reader.end()
    if basis.minimum >= basis.maximum:
        raise invalid(f"{place}: minimum must be below maximum.")
    return basis


def _bank(value: Any, place: str) -> Bank:
    try:
        return Bank(_text(value, place))
    except ValueError as error:
        raise invalid(f"{place} must be one of {', '.join(Bank)}, not {value!r}.") from error
