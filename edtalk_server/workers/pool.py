"""Several workers behind one call. Frames of a worker that is lost are drawn again by the next one that is free."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from edtalk_server import child_process
from shared_protocol.errors import EDTalkError, ErrorCode

from . import wire
from .images import EncodedImage
from .task import DrawTask
from .worker import Worker, WorkerLostError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

MOST_TRIES = 3
"""Workers that may be lost over one task; then the fault is the task's."""


class Pool:
    """Draws by several workers, as many tasks at once as there are workers. Any thread may call `draw`."""

    def __init__(self, workers: Sequence[Worker], tries: int = MOST_TRIES) -> None:
        """`tries`: workers that may be lost over one task."""
        self._tries = tries
        self._workers = tuple(workers)
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in workers:
            self._free.put(worker)

    def __len__(self) -> int:
        return len(self._workers)

    def open(self) -> None:
        """Start one of the free workers and let it load the model. Raises the `EDTalkError` of one that cannot."""
        self._with_worker(
            lambda worker: wire.images_of(_told(worker, child_process.pack({"open": True}))), "its model"
        )

    def draw(self, task: DrawTask) -> list[EncodedImage]:
        """Return the frames of a task, in their order. Waits for a free worker. Raises `EDTalkError`."""
        return self._with_worker(lambda worker: _drawn(worker, task), f"{len(task.weights)} frames")

    def _with_worker(self, work: Callable[[Worker], Result], what: str) -> Result:
        """Do work with a free worker, and again with the next one where it is lost."""
        for _ in range(self._tries):
            worker = self._free.get()
            try:
                return work(worker)
            except WorkerLostError as error:
                log.warning("a worker was lost; another does its work again (%s): %s", what, error)
            finally:
                self._free.put(worker)
        raise EDTalkError(
            ErrorCode.INTERNAL,
            f"{self._tries} workers ended over the same work.",
            "Look at the server's log and report it.",
        )

    def memory(self) -> int:
        """Return the bytes of this machine's memory that all workers use."""
        return sum(worker.memory() for worker in self._workers)

    def close(self) -> None:
        """End all workers. Calls of `draw` that wait for one then fail."""
        for worker in self._workers:
            worker.close()


def _told(worker: Worker, request: bytes) -> dict[str, Any]:
    return child_process.unpack(worker.ask(request))


def _drawn(worker: Worker, task: DrawTask) -> list[EncodedImage]:
    images = wire.images_of(_told(worker, wire.pack_task(task)))
    if images is not None:
        return images
    wire.images_of(_told(worker, wire.pack_source(task.source)))
    images = wire.images_of(_told(worker, wire.pack_task(task)))
    if images is None:
        raise WorkerLostError("it does not keep the portrait")
    return images
