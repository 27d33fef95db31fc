"""Download a bundle of the catalogue, only when the user asks for it.

Files are collected in a hidden folder beside the installed bundles and stay there when the connection breaks, so that
the next try continues. Size and SHA-256 are checked before anything is moved to its final place.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from edtalk_server.bundles import library
from edtalk_server.bundles.catalogue import Offer, checked_address, offers
from edtalk_server.bundles.load import read_manifest
from edtalk_server.bundles.manifest import MANIFEST_FILE, FileEntry, invalid
from edtalk_server.media.steps import Step, Steps
from edtalk_server.media.video.sequence import disk_error, make_folder
from shared_protocol import __version__
from shared_protocol.errors import EDTalkError, ErrorCode

logger = logging.getLogger(__name__)

SILENCE_S = 10.0
"""Seconds without data after which a connection counts as broken."""
_TRIES = 3
_PIECE = 256 * 1024
"""Bytes that are received at once."""
_HASHED_AT_ONCE = 8 * 2**20
"""Bytes that are hashed between two steps."""
_NETWORK = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


def download_bundle(name: str, mirror: str = "") -> Steps[Path]:
    """Download and install the bundle `name` of the catalogues; `mirror` replaces its address.

    Raises `EDTalkError`: BUNDLE_INVALID, DOWNLOAD_FAILED, DISK.
    """
    offer = offers().get(name)
    if offer is None:
        raise invalid(
            f"No catalogue offers a bundle “{name}”.", "`edtalk bundle list` shows what is offered."
        )
    address = checked_address(mirror) if mirror else offer.address
    target = library.place_for(name)
    folder = make_folder_for(target)
    _check_room(folder, offer)
    before = 0
    for file, entry in offer.files.items():
        yield from _fetch(f"{address}/{quote(file)}", folder / file, entry, before, offer)
        before += entry.size
    if offer.kind == "checkpoints":
        installed = yield from library.import_official([folder], name)
    else:
        _check_complete(folder, offer)
        library.settle(folder, target)
        installed = target
    shutil.rmtree(folder, ignore_errors=True)
    return installed


def make_folder_for(target: Path) -> Path:
    """Make and return the folder in which the files of a bundle are collected."""
    folder = target.with_name(f".{target.name}.download")
    make_folder(folder)
    return folder


def _check_room(folder: Path, offer: Offer) -> None:
    held = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    needed = offer.bytes * (2 if offer.kind == "checkpoints" else 1) - held
    if shutil.disk_usage(folder).free < needed:
        raise EDTalkError(
            ErrorCode.DISK,
            f"There is not enough room in {folder.parent}: {needed / 1e9:.1f} GB are needed.",
            "Make room on this disk, or set EDTALK_DATA_DIR to another one.",
        )


def _check_complete(folder: Path, offer: Offer) -> None:
    """Raise `EDTalkError(BUNDLE_INVALID)` unless the catalogue lists every file of the bundle."""
    manifest, _ = read_manifest(folder)
    for file, entry in manifest.files.items():
        if offer.files.get(file) != entry:
            raise invalid(
                f"The catalogue's entry of “{offer.name}” does not fit its {MANIFEST_FILE} (see {file}).",
                "Tell whoever made the catalogue.",
            )


# --- one file ---


def _fetch(url: str, path: Path, entry: FileEntry, before: int, offer: Offer) -> Steps[None]:
    """Fetch one file to `path` and check it. An interrupted download continues."""
    partial = path.with_name(f"{path.name}.part")
    if path.is_file():  # of an earlier try, perhaps of another version
        path.rename(partial)
    resumed = partial.is_file()
    yield from receive(url, partial, entry.size, before, offer.bytes)
    digest = yield from digest_of(partial, before, offer.bytes)
    if digest != entry.sha256 and resumed:
        partial.unlink()
        yield from receive(url, partial, entry.size, before, offer.bytes)
        digest = yield from digest_of(partial, before, offer.bytes)
    if digest != entry.sha256:
        partial.unlink()
        raise EDTalkError(
            ErrorCode.DOWNLOAD_FAILED,
            f"{path.name} is not the file that the catalogue means: its SHA-256 is {digest}.",
            "Try again; if it stays so, use another mirror and tell whoever made the catalogue.",
        )
    partial.rename(path)


def receive(url: str, partial: Path, size: int, before: int, total: int) -> Steps[None]:
    """Receive a file of `size` bytes, the first of which may be there, and reconnect a few times; `before` of `total`
    bytes came earlier. Raises `EDTalkError`: DOWNLOAD_FAILED, DISK."""
    for attempt in range(1, _TRIES + 1):
        try:
            for held in _receive(url, partial, size):
                yield Step(before + held, total, f"downloading {partial.stem}")
            return
        except _NETWORK as error:
            logger.info("%s, try %d of %d: %s", url, attempt, _TRIES, error)
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if attempt == _TRIES or _is_refusal(error):
                raise _failed(partial.stem, url, error) from error
        except OSError as error:
            raise disk_error(partial, error) from error


def size_of(url: str) -> int:
    """Ask how many bytes a file has. Raises `EDTalkError(DOWNLOAD_FAILED)`."""
    try:
        with contextlib.closing(urllib.request.urlopen(_request(url), timeout=SILENCE_S)) as answer:  # noqa: S310 (checked)
            return int(answer.headers["Content-Length"])
    except (*_NETWORK, TypeError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _failed(url.rpartition("/")[2], url, error) from error


def digest_of(partial: Path, before: int, total: int) -> Steps[str]:
    """Return the SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with partial.open("rb") as file:
        while piece := file.read(_HASHED_AT_ONCE):
            digest.update(piece)
            size += len(piece)
            yield Step(before + size, total, f"checking {partial.stem}")
    return digest.hexdigest()


def _receive(url: str, partial: Path, size: int) -> Iterator[int]:
    """Append the missing bytes to a file, and yield its size after each piece."""
    held = partial.stat().st_size if partial.exists() else 0
    if held > size:
        partial.unlink()
        held = 0
    if held == size:
        return
    request = _request(url)
    if held:
        request.add_header("Range", f"bytes={held}-")
    with contextlib.closing(urllib.request.urlopen(request, timeout=SILENCE_S)) as answer:  # noqa: S310 (checked)
        resumes = answer.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(answer, held)
        held = held if resumes else 0
        with partial.open("ab" if resumes else "wb") as file:
            yield held
            for piece in _read(answer):
                held += len(piece)
                if held > size:
                    raise ConnectionError(f"it is longer than {size} bytes")
                file.write(piece)
                yield held
    if held < size:
        raise ConnectionError(f"it ended after {held} of {size} bytes")


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": f"edtalk/{__version__}"})  # noqa: S310 (checked)


def _starts_at(answer: Any, first: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {first}-")


def _read(answer: IO[bytes]) -> Iterator[bytes]:
    while piece := answer.read(_PIECE):
        yield piece


def _is_refusal(error: Exception) -> bool:
    """Return whether the server refused, so that another try would get the same answer."""
    return isinstance(error, urllib.error.HTTPError) and error.code < 500


def _failed(name: str, url: str, error: Exception) -> EDTalkError:
    return EDTalkError(
        ErrorCode.DOWNLOAD_FAILED,
        f"{name} could not be downloaded from {url} ({getattr(error, 'reason', None) or error}).",
        "Check the network and the address, or give a mirror. What has arrived is kept for the next try.",
    )
