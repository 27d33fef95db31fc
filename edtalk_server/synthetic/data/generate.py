"""Render training clips into shards. It can be stopped at any time and continues with the same arguments.

`python -m edtalk_server.synthetic.data.generate --facekit PATH --out runs/data --worker 0 --frames 32000 --seed 1`
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np

from edtalk_server.synthetic.data import shards
from edtalk_server.synthetic.data.clips import (
    CLIPS_PER_IDENTITY,
    ClipPlan,
    identity_seed,
    make_clip,
    make_clips,
    plan_clip,
)
from edtalk_server.synthetic.data.sampling import CLIP_LENGTH
from edtalk_server.synthetic.renderer.frame import Renderer
from edtalk_server.synthetic.renderer.identity import Identity
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

HOLDOUT_SEED = 20
"""Added to the seed of hold-out sets, so that their people never occur in training; training seeds stay below it."""
_REPORT_EVERY = 20
CLIPS_AT_ONCE = 32
"""Clips that a card draws in one call."""


def generate(facekit: Path, out: Path, worker: int, frames: int, seed: int, size: int) -> None:
    """Write `frames` rows (rounded down to whole clips), continuing what is there."""
    shard = _shard(out, worker, frames, size)
    renderer = Renderer(facekit)
    person = None
    report = Report(worker, shard)
    for number in range(shard.rows // CLIP_LENGTH, shard.capacity // CLIP_LENGTH):
        chosen = identity_seed(seed, worker, number)
        if person is None or person.seed != chosen:
            person = renderer.identity(chosen)
        random = np.random.default_rng([seed, worker, number])
        shards.write_clip(shard, make_clip(renderer, person, random, size), number)
        report.tell(number)


def generate_on(
    device: str, facekit: Path, out: Path, worker: int, frames: int, seed: int, size: int, painters: int
) -> None:
    """Generate the same clips as `generate`, many at a time on a graphics card, while `painters` processes make the
    people, never more than a few ahead: each takes 17 MiB."""
    from edtalk_server.synthetic.renderer.batch.batch_frame import BatchRenderer

    shard = _shard(out, worker, frames, size)
    numbers = range(shard.rows // CLIP_LENGTH, shard.capacity // CLIP_LENGTH)
    seeds = sorted({identity_seed(seed, worker, number) for number in numbers})
    renderer = Renderer(facekit)
    card = BatchRenderer(renderer, device, places=4 * CLIPS_AT_ONCE)
    report = Report(worker, shard)
    with multiprocessing.get_context("spawn").Pool(painters, _prepare_painter, (facekit,)) as pool:
        people = _ahead(pool, seeds, 4 * painters)
        person = None
        plans: list[ClipPlan] = []
        for number in numbers:
            if person is None or person.seed != identity_seed(seed, worker, number):
                person = next(people)
            random = np.random.default_rng([seed, worker, number])
            plans.append(plan_clip(renderer, person, random, size))
            if len(plans) == CLIPS_AT_ONCE or number == numbers[-1]:
                for place, clip in enumerate(make_clips(card, plans, size), number + 1 - len(plans)):
                    shards.write_clip(shard, clip, place)
                report.tell(number)
                plans.clear()


_painter: Renderer | None = None
"""Of a painting process."""


def _prepare_painter(facekit: Path) -> None:
    global _painter
    _painter = Renderer(facekit)


def _ahead(pool: Pool, seeds: Iterable[int], most: int) -> Iterator[Identity]:
    """Yield the people of these seeds in order, made ahead of time; at most `most` are being made or waiting."""
    rest = iter(seeds)
    waiting = deque(pool.apply_async(_paint, (seed,)) for seed in islice(rest, most))
    while waiting:
        yield waiting.popleft().get()
        waiting.extend(pool.apply_async(_paint, (seed,)) for seed in islice(rest, 1))


def _paint(seed: int) -> Identity:
    if _painter is None:
        raise RuntimeError("this process has not been prepared")
    return _painter.identity(seed)


def _shard(out: Path, worker: int, frames: int, size: int) -> shards.Shard:
    return shards.open_for_writing(
        out, worker, frames // CLIP_LENGTH * CLIP_LENGTH, large=size > shards.FLOW_SIZE
    )


class Report:
    """Says now and then how fast it goes."""

    def __init__(self, worker: int, shard: shards.Shard) -> None:
        self._worker, self._shard = worker, shard
        self._first, self._started, self._told = shard.rows, time.monotonic(), 0

    def tell(self, number: int) -> None:
        """Report progress after clip `number`."""
        if number - self._told < _REPORT_EVERY and self._shard.rows < self._shard.capacity and self._told:
            return
        self._told = number
        rate = (self._shard.rows - self._first) / (time.monotonic() - self._started)
        log.info(
            "worker %d: %d of %d frames, %.1f frames/s",
            self._worker,
            self._shard.rows,
            self._shard.capacity,
            rate,
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True, help="packed ICT-FaceKit (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument(
        "--worker", type=int, default=0, help="number of this process; people differ between workers"
    )
    parser.add_argument("--frames", type=int, default=32000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, choices=(128, 256), default=128)
    parser.add_argument(
        "--holdout", type=int, metavar="PEOPLE", help="write a hold-out set of so many people, at 256"
    )
    parser.add_argument("--device", default="cpu", help="cuda: draw many frames at once there (default: cpu)")
    parser.add_argument(
        "--painters", type=int, default=4, help="processes that make people for a card (default: 4)"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    run(options)


def run(options: argparse.Namespace) -> None:
    """Render what the options say. `EDTalkError` for a seed whose people belong to hold-out sets."""
    if not 0 < options.seed < HOLDOUT_SEED:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            f"The seed {options.seed} would draw people that are kept for measuring.",
            f"Give --seed 1 to {HOLDOUT_SEED - 1}.",
        )
    frames, seed, size = options.frames, options.seed, options.size
    if options.holdout:
        frames, seed, size = options.holdout * CLIPS_PER_IDENTITY * CLIP_LENGTH, seed + HOLDOUT_SEED, 256
    what = (options.facekit, options.out, options.worker, frames, seed, size)
    if options.device == "cpu":
        generate(*what)
    else:
        generate_on(options.device, *what, options.painters)


if __name__ == "__main__":
    main()
