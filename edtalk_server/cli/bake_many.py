"""Bake many shots from a file of jobs, by several processes or machines. Run again, it continues."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edtalk_server.cli.options import StepLine, add_model_options, clean_termination, worker_count
from shared_protocol.errors import EDTalkError

if TYPE_CHECKING:
    from edtalk_server.cli.baking.queue import Outcome
    from edtalk_server.engine import Engine
    from edtalk_server.workers import Pool

_CANNOT_BEGIN = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edtalk bake-many`."""
    parser.add_argument("jobs", type=Path, metavar="JOBS.json", help="the shots (docs/scaling.md)")
    add_model_options(parser)
    parser.add_argument(
        "--workers",
        type=worker_count,
        default=0,
        metavar="N",
        help="processes that draw; auto: one for each graphics card or core (default: auto)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="draw on a running Ray cluster: its address, or auto for the one that this machine belongs to",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace frames that this command has not made"
    )
    parser.add_argument("--json", action="store_true", help="print what became of each shot as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Bake. Return 0 where all shots are finished, 1 where some failed, 2 where none could begin."""
    from edtalk_server.cli.baking import jobs

    try:
        shots = jobs.read(arguments.jobs)
        engine, pool = _workers(arguments)
    except EDTalkError as error:
        print(f"error: {error.cause} {error.fix}", file=sys.stderr)
        return _CANNOT_BEGIN
    from edtalk_server.cli.baking.queue import Queue

    lines = StepLine()
    queue = Queue(
        engine, pool, arguments.overwrite, lambda shot, step: lines.show(step._replace(stage=shot.name))
    )
    try:
        with clean_termination():
            outcomes = queue.bake(shots)
    finally:
        pool.close()
    _report(outcomes, len(pool), arguments.json)
    return 1 if any(outcome.error for outcome in outcomes) else 0


def _workers(arguments: argparse.Namespace) -> tuple[Engine, Pool]:
    """Return the engine that predicts, and the workers that draw."""
    import torch

    from edtalk_server.engine import Engine
    from edtalk_server.service.memory import usable_cores
    from edtalk_server.workers import Pool, WorkerSettings
    from edtalk_server.workers.plan import processes

    if arguments.workers != 1:
        torch.set_num_threads(1)  # the other cores are the workers'
    engine = Engine.open(arguments.bundle, arguments.device)
    settings = WorkerSettings(arguments.bundle, arguments.device, engine.bundle.digest)
    if arguments.cluster is None:
        return engine, Pool(processes(settings, arguments.workers, usable_cores()))
    from edtalk_server.workers import cluster

    return engine, Pool(cluster.workers(settings, arguments.workers, arguments.cluster), cluster.MOST_TRIES)


def _report(outcomes: Sequence[Outcome], workers: int, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"workers": workers, "shots": [_entry(outcome) for outcome in outcomes]}, indent=1))
        return
    for outcome in outcomes:
        kept = outcome.frames - outcome.drawn
        state = f"{outcome.frames} frames, {outcome.drawn} drawn now, {kept} kept"
        if outcome.error is not None:
            state = f"FAILED: {outcome.error.cause} {outcome.error.fix}"
        print(f"{outcome.shot.name}: {state}")
        for note in outcome.notes:
            print(f"  note: {note}")


def _entry(outcome: Outcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "name": outcome.shot.name,
        "output": str(outcome.shot.output),
        "state": "failed" if error is not None else "done",
        "frames": outcome.frames,
        "drawn": outcome.drawn,
        "seconds": round(outcome.seconds, 2),
        "notes": outcome.notes,
        "error": None if error is None else {"code": str(error.code), "cause": error.cause, "fix": error.fix},
    }
