"""The starter bundle's training run: motion readers first, then the generator, then the reader fitted to it.

Also `python -m edtalk_server.training.starter.run`. The first two stages are independent until the last fifth of the
generator's, so they may also run beside each other, each as a process of its own. Each uses one thread: on two shared
cores, threads of one process would wait for each other.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import torch

from edtalk_server.training.loop.peers import Peers, together
from edtalk_server.training.loop.stage import Paths, Stage
from edtalk_server.training.starter.fit_stage import FitPlan, FitStage
from edtalk_server.training.starter.generator_stage import GeneratorPlan, GeneratorStage
from edtalk_server.training.starter.motion_stage import MotionPlan, MotionStage
from shared_protocol.errors import EDTalkError, ErrorCode


class Part(StrEnum):
    """Which stages a run does."""

    ALL = "all"
    MOTION = "motion"
    GENERATOR = "generator"
    FIT = "fit"


_STAGES: tuple[tuple[Part, float, Callable[..., Stage], Callable[..., Any]], ...] = (
    (Part.MOTION, 0.25, MotionStage, MotionPlan),
    (Part.GENERATOR, 0.65, GeneratorStage, GeneratorPlan),
    (Part.FIT, 0.1, FitStage, FitPlan),
)
"""The stages in their order, and their shares of a whole run's time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edtalk train run`."""
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoints; a run continues what it finds"
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of rendered shards (may still be growing)"
    )
    parser.add_argument("--holdout", type=Path, help="folder of shards of other people, to measure on")
    parser.add_argument("--minutes", type=float, default=110.0, help="how long in all (default: 110)")
    parser.add_argument("--stage", type=Part, choices=list(Part), default=Part.ALL, help="only one stage")
    parser.add_argument(
        "--config",
        type=Path,
        help='JSON {"motion": {...}, "generator": {...}, "fit": {...}}: fields of the plans',
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="that train together; one for each idle core"
    )
    parser.add_argument(
        "--log", action="store_true", help="write a line to standard error at each checkpoint"
    )
    parser.add_argument("--niceness", type=int, default=5, help="give way to other programs (default: 5)")


def run(arguments: argparse.Namespace) -> int:
    """Train until the minutes are used up. `EDTalkError` for a config that cannot be read or has unknown fields."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    together(arguments.processes, partial(_work, arguments))
    return 0


def _work(arguments: argparse.Namespace, peers: Peers) -> None:
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(arguments.niceness)
    if arguments.log:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for stage in stages(arguments, peers):
        stage.train()


def stages(arguments: argparse.Namespace, peers: Peers | None = None) -> Iterator[Stage]:
    """The stages that the options ask for, in order, each resumed from `--out` when its turn comes."""
    paths = Paths(arguments.out, arguments.data, arguments.holdout)
    config = _config(arguments.config)
    for part, share, stage, plan in _STAGES:
        if arguments.stage not in (Part.ALL, part):
            continue
        minutes = arguments.minutes * (share if arguments.stage is Part.ALL else 1.0)
        try:
            chosen = plan(**{"minutes": minutes, **config.get(part.value, {})})
        except TypeError as error:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                f"The training config does not fit: {error}.",
                "See docs/training.md for its fields.",
            ) from error
        yield stage(paths, chosen, peers)


def _config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, f"The training config {path} cannot be read: {error}.", "Give a JSON file."
        ) from error
    return config


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__)
    add_arguments(command)
    raise SystemExit(run(command.parse_args()))
