"""Jobs that are done in steps: what a request asks for, as steps that end in its result (see `media.steps`).

An errand runs on a worker, a little at a time (`advance`), and can be closed between two times; that leaves no
half-made file behind.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from edtalk_server.media.steps import Step, Steps
from shared_protocol import messages
from shared_protocol.codec import Buffer
from shared_protocol.messages import Blob, Message

from .backend import Backend, write_weights
from .throughput import LONGEST_STEP_S

if TYPE_CHECKING:
    from edtalk_server.bundles.catalogue import Offer
    from edtalk_server.bundles.library import Installed

ErrandRequest = (
    messages.Capture | messages.Movie | messages.ListBundles | messages.ImportBundle | messages.DownloadBundle
)


@dataclass(frozen=True)
class Advance:
    """How far an errand has come (`step`, if it said so), whether it has ended, and then its result if it has one."""

    step: Step | None = None
    has_ended: bool = False
    result: Message | None = None


def errand_for(
    request: ErrandRequest, backend: Backend, source: Any, attachment: Buffer
) -> Steps[Message | None]:
    """The steps of a request. Nothing happens before the first of them is taken."""
    match request:
        case messages.Capture():
            return _capture(request, backend, source, attachment)
        case messages.Movie():
            return _movie(request)
        case messages.ListBundles():
            return _list(request.job, backend)
        case messages.ImportBundle():
            return _import(request, backend)
        case messages.DownloadBundle():
            return _download(request, backend)
        case _:
            assert_never(request)


def advance(errand: Steps[Message | None], is_wanted: Callable[[], bool]) -> Advance:
    """Take steps for a moment, or until nobody wants them any more. Raises what the work raises."""
    end = time.monotonic() + LONGEST_STEP_S
    step: Step | None = None
    try:
        while True:
            step = next(errand)
            if time.monotonic() >= end or not is_wanted():
                return Advance(step)
    except StopIteration as stop:
        return Advance(step, has_ended=True, result=stop.value)


def _capture(
    request: messages.Capture, backend: Backend, source: Any, video: Buffer
) -> Steps[Message | None]:
    weights, notes = yield from backend.capture(source, video, request)
    rows, channels = weights.shape
    return messages.Performance(request.job, rows, channels, Blob(write_weights(weights)), notes)


def _movie(request: messages.Movie) -> Steps[Message | None]:
    from edtalk_server.media.video.assemble import MovieSpec, assemble

    yield from assemble(
        MovieSpec(
            pattern=Path(request.folder) / Path(request.pattern).name,
            first=request.first,
            last=request.last,
            fps=Fraction(request.fps_numerator, request.fps_denominator),
            sound=Path(request.sound) if request.sound else None,
            sound_offset=request.sound_offset,
            output=Path(request.output),
        )
    )
    return None


def _list(job: str, backend: Backend) -> Steps[Message | None]:
    from edtalk_server.bundles import library

    yield Step(0, 0, "looking for bundles")
    running = json.loads(backend.description).get("digest", "")
    here = [_entry(one, running) for one in library.installed()]
    return messages.Bundles(job, (*here, *map(_offered, library.available())))


def _import(request: messages.ImportBundle, backend: Backend) -> Steps[Message | None]:
    from edtalk_server.bundles import library

    yield from library.importing([Path(request.folder)], request.name)
    return (yield from _list(request.job, backend))


def _download(request: messages.DownloadBundle, backend: Backend) -> Steps[Message | None]:
    from edtalk_server.bundles.download import downloading

    yield from downloading(request.name, request.mirror)
    return (yield from _list(request.job, backend))


def _entry(one: Installed, running: str) -> messages.BundleEntry:
    manifest = one.manifest
    return messages.BundleEntry(
        name=one.name,
        title=manifest.title,
        version=manifest.version,
        bytes=one.bytes,
        licence=manifest.licence,
        size=manifest.size,
        description=manifest.description,
        path=one.path,
        running=one.digest == running,
    )


def _offered(offer: Offer) -> messages.BundleEntry:
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
