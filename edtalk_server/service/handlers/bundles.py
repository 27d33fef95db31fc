"""`ListBundles`, `ImportBundle` and `DownloadBundle`: each ends in the list of bundles as it is then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from edtalk_server.media.steps import Step, Steps
from shared_protocol import messages
from shared_protocol.messages import Message

from ..backend import Backend
from .handler import WorkerKind, handles
from .streaming import StreamingHandler

if TYPE_CHECKING:
    from edtalk_server.bundles.catalogue import Offer
    from edtalk_server.bundles.library import Installed


@handles(messages.ListBundles)
class ListBundlesHandler(StreamingHandler[messages.ListBundles]):
    """List the installed bundles and those that can be downloaded."""

    worker = WorkerKind.FILES
    capabilities = ("bundles",)

    def steps(self) -> Steps[Message | None]:
        """List them."""
        return (yield from _list_bundles(self.request.job, self.resources.backend))


@handles(messages.ImportBundle)
class ImportBundleHandler(StreamingHandler[messages.ImportBundle]):
    """Import the official checkpoints from a folder or file of this machine."""

    worker = WorkerKind.FILES
    is_local_only = True
    capabilities = ("bundles",)

    def steps(self) -> Steps[Message | None]:
        """Import, then list."""
        from edtalk_server.bundles import library

        yield from library.import_official([Path(self.request.folder)], self.request.name)
        return (yield from _list_bundles(self.request.job, self.resources.backend))


@handles(messages.DownloadBundle)
class DownloadBundleHandler(StreamingHandler[messages.DownloadBundle]):
    """Download what the catalogue offers."""

    worker = WorkerKind.FILES
    capabilities = ("bundles",)

    def steps(self) -> Steps[Message | None]:
        """Download, then list."""
        from edtalk_server.bundles.download import download_bundle

        yield from download_bundle(self.request.name, self.request.mirror)
        return (yield from _list_bundles(self.request.job, self.resources.backend))


def _list_bundles(job: str, backend: Backend) -> Steps[Message | None]:
    from edtalk_server.bundles import library

    yield Step(0, 0, "looking for bundles")
    running = json.loads(backend.description).get("digest", "")
    installed = [_installed_entry(bundle, running) for bundle in library.installed()]
    return messages.Bundles(job, (*installed, *map(_offered_entry, library.available())))


def _installed_entry(bundle: Installed, running: str) -> messages.BundleEntry:
    manifest = bundle.manifest
    return messages.BundleEntry(
        name=bundle.name,
        title=manifest.title,
        version=manifest.version,
        bytes=bundle.bytes,
        licence=manifest.licence,
        size=manifest.size,
        description=manifest.description,
        path=bundle.path,
        running=bundle.digest == running,
    )


def _offered_entry(offer: Offer) -> messages.BundleEntry:
    return messages.BundleEntry(
        name=offer.name,
        title=offer.title,
        version=offer.version,
        bytes=offer.bytes,
        licence=offer.licence,
        size=offer.size,
        description=offer.description,
        installed=False,
    )
