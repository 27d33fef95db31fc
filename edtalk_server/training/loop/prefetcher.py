"""Batches made ahead of the step that needs them. Batch n depends on the run's seed and on n alone, so a run that was
stopped continues with the batches that it would have had, however they are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np
from torch.utils.data import DataLoader, Dataset

T = TypeVar("T")
_DEPTH = 2
"""Batches in the making for each thread."""


def generator_of(seed: int, number: int) -> np.random.Generator:
    """Return the random numbers that batch `number` is drawn with."""
    return np.random.default_rng([seed, number])


class Prefetcher(Generic[T]):
    """Makes batches in `threads` threads, while a graphics card is busy; with 0, at the moment they are needed."""

    def __init__(self, threads: int, seed: int, stride: int = 1) -> None:
        """`stride` is the distance between the numbers of this process's batches."""
        self._seed, self._stride = seed, stride
        self._pool = ThreadPoolExecutor(threads) if threads else None
        self._depth = threads * _DEPTH
        self._pending: deque[Future[T]] = deque()
        self._next: tuple[Hashable, int] | None = None

    def take(self, number: int, kind: Hashable, make: Callable[[np.random.Generator], T]) -> T:
        """Return batch `number`. What was made for another `kind` or number is dropped."""
        if self._pool is None:
            return make(generator_of(self._seed, number))
        if self._next != (kind, number):
            self._pending.clear()
        while len(self._pending) < self._depth:
            ahead = number + len(self._pending) * self._stride
            self._pending.append(self._pool.submit(make, generator_of(self._seed, ahead)))
        self._next = (kind, number + self._stride)
        return self._pending.popleft().result()


class _Batches(Dataset[Any]):
    """Batch number n, for every n."""

    def __init__(self, draw: Callable[[np.random.Generator], Any], seed: int) -> None:
        self._draw = draw
        self._seed = seed

    def __getitem__(self, number: int) -> Any:
        return self._draw(generator_of(self._seed, number))


def draw_batches(
    draw: Callable[[np.random.Generator], T], seed: int, numbers: Sequence[int], workers: int
) -> Iterator[T]:
    """Yield the batches of these numbers, made in `workers` processes; with 0, at the moment they are needed."""
    batches = _Batches(draw, seed)
    return iter(DataLoader(batches, batch_size=None, sampler=numbers, num_workers=workers))
