"""Renders training clips into shards. Can be stopped at any time and started again with the same arguments.

`python -m edtalk_server.training.data.generate --facekit PATH --out runs/data --worker 0 --frames 32000 --seed 1`
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np

from edtalk_server.training.data import shards
from edtalk_server.training.data.clips import CLIPS_PER_IDENTITY, identity_seed, make_clip
from edtalk_server.training.data.sampling import CLIP_LENGTH
from edtalk_server.training.renderer.frame import Renderer

log = logging.getLogger(__name__)

HOLDOUT_SEED = 20
"""Added to the seed of hold-out sets, so that their people never occur in training; training seeds stay below it."""
_REPORT_EVERY = 20


def generate(facekit: Path, out: Path, worker: int, frames: int, seed: int, size: int) -> None:
    """Writes `frames` rows (rounded down to whole clips), continuing what is there."""
    clips = frames // CLIP_LENGTH
    shard = shards.open_for_writing(out, worker, clips * CLIP_LENGTH, large=size > shards.FLOW_SIZE)
    renderer = Renderer(facekit)
    first = shard.rows // CLIP_LENGTH
    started, person = time.monotonic(), None
    for number in range(first, clips):
        chosen = identity_seed(seed, worker, number)
        if person is None or person.seed != chosen:
            person = renderer.identity(chosen)
        random = np.random.default_rng([seed, worker, number])
        shards.write_clip(shard, make_clip(renderer, person, random, size), number)
        if number % _REPORT_EVERY == 0 or number == clips - 1:
            rate = (number + 1 - first) * CLIP_LENGTH / (time.monotonic() - started)
            log.info(
                "worker %d: %d of %d frames, %.1f frames/s", worker, shard.rows, clips * CLIP_LENGTH, rate
            )


def main() -> None:
    """Command line."""
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
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if not 0 < given.seed < HOLDOUT_SEED:
        parser.error(f"--seed must be 1 to {HOLDOUT_SEED - 1}")
    frames, seed, size = given.frames, given.seed, given.size
    if given.holdout:
        frames, seed, size = given.holdout * CLIPS_PER_IDENTITY * CLIP_LENGTH, seed + HOLDOUT_SEED, 256
    generate(given.facekit, given.out, given.worker, frames, seed, size)


if __name__ == "__main__":
    main()
