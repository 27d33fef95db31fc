"""Catalogues of downloadable bundles: a JSON file that ships, and one of the user or site that adds to it.

An entry lists every file with its size and SHA-256, because nothing is offered that could not be checked. The format is
in docs/bundles.md.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edtalk_server.bundles import foreign_files
from edtalk_server.bundles.manifest import FileEntry, invalid
from shared_protocol import paths
from shared_protocol.errors import EDTalkError

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).with_name("catalogue.json")
FORMAT, FORMAT_VERSION = "edtalk-catalogue", 1
_MOST_BYTES = 1024**2
"""Bytes of a catalogue."""
KINDS = ("bundle", "checkpoints")
_FIELDS = {
    "name": str,
    "title": str,
    "version": str,
    "licence": str,
    "description": str,
    "kind": str,
    "size": int,
    "address": str,
    "files": dict,
}
_OPTIONAL = {"description": "", "kind": "bundle", "size": 0}


@dataclass(frozen=True)
class Offer:
    """A downloadable bundle. `files` come from `address/name`. Those of kind `checkpoints` are official files and are
    imported afterwards; the others are a bundle with its `bundle.json`. `size` is in pixels."""

    name: str
    title: str
    version: str
    licence: str
    description: str
    kind: str
    size: int
    address: str
    files: Mapping[str, FileEntry]

    @property
    def bytes(self) -> int:
        """Return the bytes of all files together."""
        return sum(entry.size for entry in self.files.values())


def offers() -> dict[str, Offer]:
    """Return all offers by name; the user's or site's own replace shipped ones. An invalid file is left out, and the
    log says why."""
    result: dict[str, Offer] = {}
    for path in (SHIPPED, paths.catalogue_file()):
        try:
            result |= read(path)
        except EDTalkError as error:
            logger.warning("the catalogue %s is not used: %s", path, error.cause)
    return result


def read(path: Path) -> dict[str, Offer]:
    """Return the offers of one catalogue; none without a file. Raises `EDTalkError(BUNDLE_INVALID)` that names the
    fault."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(foreign_files.read(path, _MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(path.name, f"it cannot be read ({error})") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise _wrong(path.name, f"its format is not {FORMAT!r}")
    if values.get("format_version") != FORMAT_VERSION or not isinstance(values.get("bundles"), list):
        raise _wrong(path.name, f"it is no list of version {FORMAT_VERSION}")
    entries = [_offer(entry, f"{path.name}, entry {i + 1}") for i, entry in enumerate(values["bundles"])]
    return {offer.name: offer for offer in entries}


def _offer(entry: Any, place: str) -> Offer:
    if not isinstance(entry, dict) or (unknown := sorted(set(entry) - set(_FIELDS))):
        raise _wrong(
            place, f"{unknown[0]!r} is not a known field" if isinstance(entry, dict) else "it is no object"
        )
    values: dict[str, Any] = _OPTIONAL | entry
    for name, kind in _FIELDS.items():
        if type(values.get(name)) is not kind:
            raise _wrong(place, f"{name} is missing or of the wrong type")
    if not is_name(values["name"]):
        raise _wrong(place, "name must be up to 64 letters, digits, '.', '_' or '-'")
    if values["kind"] not in KINDS:
        raise _wrong(place, f"kind must be one of {', '.join(KINDS)}")
    files = {name: _file(name, entry_of_file, place) for name, entry_of_file in values["files"].items()}
    if not files or (values["kind"] == "bundle" and "bundle.json" not in files):
        raise _wrong(place, "files must name bundle.json and all that belongs to it")
    values |= {"files": files, "address": checked_address(values["address"], place)}
    return Offer(**values)


def _file(name: str, value: Any, place: str) -> FileEntry:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name):
        raise _wrong(place, f"{name!r} is no plain file name")
    if not isinstance(value, dict) or set(value) != {"sha256", "size"}:
        raise _wrong(place, f"{name} needs sha256 and size, and nothing else")
    if not isinstance(value["sha256"], str) or not re.fullmatch(r"[0-9a-f]{64}", value["sha256"]):
        raise _wrong(place, f"the sha256 of {name} must be 64 lower-case hexadecimal digits")
    if type(value["size"]) is not int or value["size"] < 1:
        raise _wrong(place, f"the size of {name} must be a number of bytes")
    return FileEntry(value["sha256"], value["size"])


def checked_address(address: str, place: str = "The mirror") -> str:
    """Return a web address without a slash at its end. Raises `EDTalkError(BUNDLE_INVALID)` for anything else."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise _wrong(place, f"{address[:100]!r} is not an address such as https://example.org/bundles")
    return address.rstrip("/")


def is_name(name: str) -> bool:
    """Return whether a bundle's folder may have this name."""
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", name) is not None


def _wrong(place: str, why: str) -> EDTalkError:
    return invalid(f"{place}: {why}.", "Correct it; docs/bundles.md describes catalogues.")
