"""Measure how fast this machine predicts, draws faces and renders training data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edtalk_server.cli.options import add_model_options, whole_number

if TYPE_CHECKING:
    from edtalk_server.evaluation.speed.timing import Line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edtalk bench`."""
    parser.add_argument(
        "--facekit", type=Path, help="packed ICT-FaceKit (.npz): measure the renderer as well"
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="measure the paper's network at its exact size, on two cores, against the release's schedule, and nothing"
        " else (compiles first; needs 4 GB)",
    )
    parser.add_argument(
        "--card",
        action="store_true",
        help="measure batches on the device, and nothing else (tests/speed/card.sh)",
    )
    parser.add_argument(
        "--rounds",
        type=whole_number,
        default=5,
        help="rounds of which each number is the median (default: 5)",
    )
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each number as it becomes known."""
    from edtalk_server.evaluation.speed import timing
    from edtalk_server.media.video.sequence import write_whole

    if arguments.exact:
        _keep_memory()
    machine = timing.machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items() if value is not None))
    print(timing.HEADER)
    lines = []
    for line in _lines(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.json:
        content = {
            "machine": machine,
            "rounds": arguments.rounds,
            "lines": [line.to_dict() for line in lines],
        }
        write_whole(arguments.json, (json.dumps(content, indent=1) + "\n").encode())
    return 0


def _keep_memory() -> None:
    """Measure with the settings that the server runs with: start anew where they are missing."""
    from edtalk_server.service import memory

    memory.apply(None)


def _lines(arguments: argparse.Namespace) -> Iterator[Line]:
    if arguments.exact:
        from edtalk_server.evaluation.speed.exact import exact_lines

        yield from exact_lines(arguments.rounds)
        return
    if arguments.card:
        from edtalk_server.evaluation.speed.card import card_lines

        yield from card_lines(arguments.bundle, arguments.device, arguments.rounds)
        return
    from edtalk_server.evaluation.speed.networks import network_lines

    yield from network_lines(arguments.bundle, arguments.device, arguments.rounds)
    if arguments.facekit:
        from edtalk_server.evaluation.speed.renderer import renderer_lines

        yield from renderer_lines(arguments.facekit, arguments.rounds)
    else:
        print("The renderer of training faces was not measured: give --facekit for that.")
