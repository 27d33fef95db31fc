"""Who draws: the model's own thread, or a pool of workers."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from edtalk_server.arrays import Weights
from edtalk_server.engine.source import Source as EngineSource
from edtalk_server.media.output_spec import OutputSpec
from edtalk_server.workers import DrawTask, EncodedImage, Pool, encode

from .backend import Backend, Source


class Drawing(Protocol):
    """Draws frames. `workers`: how many steps it can do at once beside the model's thread; 0: none."""

    workers: int

    @property
    def previews_apart(self) -> bool:
        """Does `preview` draw beside `draw`, in a thread of its own?"""

    @property
    def path(self) -> str:
        """The fastest way to draw that is ready; all frames of a job take the same, so that they fit."""

    @property
    def side_by_side(self) -> int:
        """How many frames of one step take about as long as one."""

    def expect(self, frames: int) -> None:
        """Get ready for a render of so many frames, without waiting for it."""

    def open(self) -> None:
        """Make one worker ready (slow); called once for each."""

    def draw(
        self, source: Source, weights: Weights, output: OutputSpec, encoding: str, path: str = ""
    ) -> list[EncodedImage]:
        """Return the encoded frames of weights [B, channels], drawn in the way of that name. Any of the drawing
        threads."""

    def preview(self, source: Source, weights: Weights, output: OutputSpec) -> EncodedImage:
        """Return the frame of weights [1, channels] as RGBA, for somebody who waits."""

    def memory(self) -> int:
        """Return the bytes of memory that other processes use for this one: workers or helpers."""

    def close(self) -> None:
        """End the workers."""


class OwnDrawing:
    """The backend draws, in the model's thread."""

    workers = 0

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def previews_apart(self) -> bool:
        """See `Drawing`."""
        return self._backend.previews_apart

    @property
    def path(self) -> str:
        """See `Drawing`."""
        return self._backend.path

    @property
    def side_by_side(self) -> int:
        """See `Drawing`."""
        return self._backend.side_by_side

    def expect(self, frames: int) -> None:
        """See `Drawing`."""
        self._backend.expect(frames)

    def open(self) -> None:
        """Do nothing: there are no workers."""

    def draw(
        self, source: Source, weights: Weights, output: OutputSpec, encoding: str, path: str = ""
    ) -> list[EncodedImage]:
        """See `Drawing`."""
        return self._backend.render(source, weights, output, partial(encode, encoding=encoding), path)

    def preview(self, source: Source, weights: Weights, output: OutputSpec) -> EncodedImage:
        """See `Drawing`."""
        return self._backend.preview(source, weights, output, partial(encode, encoding="rgba"))

    def memory(self) -> int:
        """See `Drawing`."""
        return self._backend.helpers_memory()

    def close(self) -> None:
        """Do nothing."""


class PoolDrawing:
    """A pool draws; the backend prepares portraits for it. The sources are those of the engine."""

    side_by_side = 1
    previews_apart = False
    """A free worker draws them."""
    path = ""
    """Workers draw as the network itself does."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self.workers = pool, len(pool)

    def expect(self, frames: int) -> None:
        """Do nothing: the workers are there."""

    def open(self) -> None:
        """See `Drawing`."""
        self._pool.open()

    def draw(
        self, source: Source, weights: Weights, output: OutputSpec, encoding: str, path: str = ""
    ) -> list[EncodedImage]:
        """See `Drawing`."""
        if not isinstance(source, EngineSource):
            raise TypeError("workers draw the sources of an engine")
        return self._pool.draw(DrawTask(source, weights, output, encoding))

    def preview(self, source: Source, weights: Weights, output: OutputSpec) -> EncodedImage:
        """See `Drawing`."""
        return self.draw(source, weights, output, "rgba")[0]

    def memory(self) -> int:
        """See `Drawing`."""
        return self._pool.memory()

    def close(self) -> None:
        """See `Drawing`."""
        self._pool.close()
