"""The bundles of this installation, shipped and in the user's data folder; import of new ones."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edtalk_server.bundles.catalogue import Offer, is_name, offers
from edtalk_server.bundles.load import STARTER, find, read_manifest
from edtalk_server.bundles.manifest import MANIFEST_FILE, BundleManifest, invalid
from edtalk_server.bundles.save import save
from edtalk_server.media.steps import Step, Steps
from edtalk_server.media.video.sequence import disk_error, make_folder
from shared_protocol import paths
from shared_protocol.errors import EDTalkError

logger = logging.getLogger(__name__)

_CHECKPOINTS = (".pt", ".pth", ".ckpt", ".tar")


@dataclass(frozen=True)
class Installed:
    """An installed bundle. `name` is that of its folder; `path` is the value for `--bundle`."""

    name: str
    path: str
    manifest: BundleManifest
    digest: str

    @property
    def bytes(self) -> int:
        """Return the bytes of its networks."""
        return sum(entry.size for entry in self.manifest.files.values())


def installed() -> list[Installed]:
    """Return all installed bundles, the shipped one first; unreadable ones are left out, and the log says why."""
    places = {STARTER: STARTER} if (find(STARTER) / MANIFEST_FILE).is_file() else {}
    places |= {folder.name: str(folder) for folder in _folders()}
    bundles = []
    for name, path in places.items():
        try:
            bundles.append(Installed(name, path, *read_manifest(path)))
        except EDTalkError as error:
            logger.warning("the bundle %s is not used: %s", path, error.cause)
    return bundles


def available() -> list[Offer]:
    """Return the offers of the catalogues that are not installed."""
    present = {bundle.name for bundle in installed()}
    return [offer for name, offer in sorted(offers().items()) if name not in present]


def _folders() -> Iterator[Path]:
    root = paths.bundles_dir()
    if root.is_dir():
        yield from sorted(
            path.parent for path in root.glob(f"*/{MANIFEST_FILE}") if is_name(path.parent.name)
        )


def place_for(name: str) -> Path:
    """Return the folder of a new bundle. Raises `EDTalkError(BUNDLE_INVALID)` for a taken or impossible name."""
    if not is_name(name):
        raise invalid(
            f"{name[:70]!r} cannot be the name of a bundle.", "Use letters, digits, '.', '_' and '-'."
        )
    target = paths.bundles_dir() / name
    if name == STARTER or target.exists():
        raise invalid(
            f"There is a bundle “{name}” already.",
            f"Choose another name, or remove the folder {target.parent / name}.",
        )
    return target


def import_official(sources: Sequence[Path], name: str = "", output: Path | None = None) -> Steps[Path]:
    """Import the official checkpoints (files, or one folder of them) as the installed bundle `name`, or into the folder
    `output`. The default name is that of the release.

    Raises `EDTalkError`: BUNDLE_INVALID, DISK.
    """
    from edtalk_server.bundles import official

    is_folder = len(sources) == 1 and sources[0].is_dir()
    files = _checkpoints(sources[0]) if is_folder else list(sources)
    if name:
        place_for(name)  # before the work: is the name allowed?
    manifest, networks = yield from official.read_checkpoints(files, skip_foreign=is_folder)
    yield Step(len(files), len(files) + 1, "writing the bundle")
    if output is not None:
        save(output, manifest, networks)
        return output
    target = place_for(name or manifest.name)
    make_folder(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".import-") as scratch:
        fresh = Path(scratch) / target.name
        save(fresh, manifest, networks)
        yield Step(len(files) + 1, len(files) + 1, "writing the bundle")
        settle(fresh, target)
    return target


def settle(fresh: Path, target: Path) -> None:
    """Move a complete folder to its final place. Raises `EDTalkError(DISK)`."""
    try:
        fresh.rename(target)
    except OSError as error:
        raise disk_error(target, error) from error


def _checkpoints(source: Path) -> list[Path]:
    files = sorted(
        path for path in source.iterdir() if path.suffix.lower() in _CHECKPOINTS and path.is_file()
    )
    if not files:
        raise invalid(
            f"There are no checkpoints (.pt) in {source}.",
            "Choose the folder that holds EDTalk.pt and Audio2Lip.pt.",
        )
    return files
