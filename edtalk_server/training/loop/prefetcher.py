"""Batches made ahead of the step that wants them, while a graphics card is busy with the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")
DEPTH = 2
"""Batches in the making for each thread."""


class Ahead(Generic[T]):
    """Makes batches in `threads` threads; with none, at the moment they are asked for, in a fixed order."""

    def __init__(self, threads: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._pool = ThreadPoolExecutor(threads) if threads else None
        self._room = threads * DEPTH
        self._waiting: deque[Future[T]] = deque()
        self._kind: Hashable = None

    def take(self, kind: Hashable, make: Callable[[np.random.Generator], T]) -> T:
        """The next batch that `make` makes. What was made for another `kind` is dropped."""
        if self._pool is None:
            return make(self._rng)
        if kind != self._kind:
            self._waiting.clear()
            self._kind = kind
        while len(self._waiting) < self._room:
            self._waiting.append(self._pool.submit(make, np.random.default_rng(self._rng.integers(2**63))))
        return self._waiting.popleft().result()
