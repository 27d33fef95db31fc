"""What every request handler offers to the dispatcher, and the registry of all handlers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, ClassVar, Generic, TypeVar

from shared_protocol.codec import Buffer
from shared_protocol.messages import Message

from ..backend import Backend
from ..blobs import BlobStore
from ..drawing import Drawing
from ..sources import SourceCache
from .throughput import BatchSize


class Turn(IntEnum):
    """Which of the waiting jobs comes first. Jobs of the last kind take turns, a step each."""

    PREVIEW = 0
    PORTRAIT = 1
    BULK = 2


class WorkerKind(Enum):
    """The thread that does a job's work: the one that draws and looks at faces, the one that listens to voices (a long
    one takes minutes in one piece, and no picture may wait for it), or the one for everything else.

    `DRAWING` are the threads that wait for worker processes; without such processes the model's thread draws.
    `PREVIEWS` draws previews beside it where that is possible (`Backend.previews_apart`); else they are `DRAWING`'s.
    """

    MODEL = "model"
    PREVIEWS = "previews"
    DRAWING = "drawing"
    VOICES = "voices"
    FILES = "files"


@dataclass(frozen=True)
class Resources:
    """What the handlers of one server share."""

    backend: Backend
    blobs: BlobStore
    sources: SourceCache
    batch_size: BatchSize
    drawing: Drawing


@dataclass(frozen=True)
class Answer:
    """The messages that follow from a step, and whether the job has ended with it."""

    messages: tuple[Message, ...] = ()
    has_ended: bool = True


Request = TypeVar("Request", bound=Message)


class Handler(ABC, Generic[Request]):
    """One request on its way: check, steps, answer. The class says what its requests need.

    The constructor looks up everything that the request names and checks it; it raises `EDTalkError`. Only the steps
    run on a worker; all methods belong to the transport thread.
    """

    turn: ClassVar[Turn] = Turn.BULK
    worker: ClassVar[WorkerKind] = WorkerKind.MODEL
    is_local_only: ClassVar[bool] = False
    """Does it read or write files of this machine, so that only programs on it may ask?"""
    is_parallel: ClassVar[bool] = False
    """May several workers have a step of it at once?"""
    newest_wins: ClassVar[bool] = False
    """Does a newer request of the same kind and connection replace one that waits?"""
    capabilities: ClassVar[tuple[str, ...]] = ()
    """What `Welcome` tells clients about it."""

    def __init__(self, request: Request, resources: Resources, now: float) -> None:
        self.request = request
        self.resources = resources

    @property
    def files(self) -> Mapping[str, Buffer]:
        """The uploaded files that the job keeps in memory, by their digests: several jobs may share one."""
        return {}

    @property
    def bytes_held(self) -> int:
        """Memory that the request itself keeps beside its files, in bytes."""
        return 0

    @property
    def is_ready(self) -> bool:
        """Can a step run now?"""
        return True

    def add_credit(self, frames: int) -> None:
        """Allow the job `frames` more results; only renders count them."""

    @abstractmethod
    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], Any]:
        """Return the next piece of work. `is_wanted` turns False when the job has ended; any thread may call it."""

    def news(self, now: float) -> tuple[Message, ...]:
        """Return what there is to tell while a step runs; asked every half second."""
        return ()

    def store(self, value: Any) -> None:
        """Keep the part of a step's result that outlives the job, even when the job was cancelled meanwhile."""

    @abstractmethod
    def answer(self, value: Any, seconds: float, now: float) -> Answer:
        """Return the answer to a step that took `seconds` and gave `value`."""

    def clean_up(self) -> Callable[[], None] | None:
        """Return work that undoes a half-done job, for its worker; None when there is none."""
        return None


HANDLERS: dict[type[Message], type[Handler[Any]]] = {}
"""The handler of each request type."""

AnyHandler = TypeVar("AnyHandler", bound=type[Handler[Any]])


def handles(request_type: type[Message]) -> Callable[[AnyHandler], AnyHandler]:
    """Register a class as the handler of a request type."""

    def register(handler: AnyHandler) -> AnyHandler:
        HANDLERS[request_type] = handler
        return handler

    return register
