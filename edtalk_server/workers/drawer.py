"""The worker's side: an engine that answers bytes with bytes."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

from edtalk_server import child_process
from edtalk_server.engine.source import Source
from shared_protocol.errors import EDTalkError, ErrorCode

from . import wire
from .images import encode
from .worker import WorkerSettings

log = logging.getLogger(__name__)

MOST_SOURCES = 8
"""Portraits that a worker keeps; it is given others again."""
MOST_SOURCE_BYTES = 512 * 1024 * 1024
"""Bytes of all of them together; the newest is always kept."""


class Drawer:
    """Draws what it is asked for. One thread, so that its frames do not depend on how many cores there are."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._engine: Any = None
        self._sources = OrderedDict[str, Source]()

    def answer(self, request: bytes) -> bytes:
        """Answer a message of `wire`. Whatever goes wrong is an answer too."""
        try:
            return self._answer(child_process.unpack(request))
        except EDTalkError as error:
            return wire.pack_error(error)
        except MemoryError:
            return wire.pack_error(_out_of_memory())
        except Exception as error:
            log.exception("a task failed")
            cause = f"A worker met an unexpected error ({type(error).__name__}: {str(error)[:300]})."
            fix = "Look at the server's log and report it."
            return wire.pack_error(EDTalkError(ErrorCode.INTERNAL, cause, fix))

    def _answer(self, request: dict[str, Any]) -> bytes:
        if "give" in request:
            self._keep(wire.source_of(request["give"]))
            return child_process.pack({"images": []})
        if "open" in request:
            self._open()
            return child_process.pack({"images": []})
        key = request["draw"]
        if key not in self._sources:
            return child_process.pack({"lacks": True})
        self._sources.move_to_end(key)
        weights, output = request["weights"].copy(), wire.output_of(request)
        frames = self._open().render(self._sources[key], weights, output)
        return wire.pack_images([encode(frame, request["encoding"]) for frame in frames])

    def _open(self) -> Any:
        """Return the engine; the first time, open and warm it up. Raises `EDTalkError`."""
        if self._engine is None:
            self._engine = _engine(self._settings)
        return self._engine

    def _keep(self, source: Source) -> None:
        self._sources[source.key] = source
        size = sum(kept.nbytes for kept in self._sources.values())
        while len(self._sources) > MOST_SOURCES or (size > MOST_SOURCE_BYTES and len(self._sources) > 1):
            size -= self._sources.popitem(last=False)[1].nbytes


def _engine(settings: WorkerSettings) -> Any:
    if settings.bundle is None:
        from edtalk_server.engine.fake import FakeEngine

        return FakeEngine(seconds_per_frame=settings.seconds_per_frame)
    import torch

    from edtalk_server.engine import Engine

    torch.set_num_threads(1)
    engine = Engine.open(settings.bundle, settings.device)
    if settings.digest and engine.bundle.digest != settings.digest:
        raise EDTalkError(
            ErrorCode.BUNDLE_INVALID,
            "A worker has another bundle than the one that was asked for.",
            "Install the same bundle on every machine.",
        )
    engine.warm_up()
    return engine


def _out_of_memory() -> EDTalkError:
    fix = "Close other programs, or use fewer workers."
    return EDTalkError(ErrorCode.OUT_OF_MEMORY, "There was not enough memory.", fix)
