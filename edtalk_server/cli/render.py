"""Make a portrait speak: a movie with sound, or a numbered image sequence."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edtalk_server.cli.options import (
    StepLine,
    add_idle_options,
    add_model_options,
    add_overwrite_option,
    add_voice_option,
    add_word_options,
    clean_termination,
    crop_square,
    exact_rate,
    frame_range,
    movie_or_sequence,
    performance_options,
    whole_number,
)

MOST_WORKERS = 8
"""Processes that draw unless told otherwise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edtalk render`."""
    parser.add_argument("--portrait", type=Path, required=True, help="picture with a face")
    parser.add_argument(
        "--also",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="further picture of the same person, laughing or with an open mouth, which gives what the portrait does "
        "not show (up to four; repeatable)",
    )
    add_voice_option(parser, with_fps=False)
    parser.add_argument(
        "--fps",
        type=exact_rate,
        help="frames a second; 23.976 and 30000/1001 are taken exactly (default: the weights' own, else 25)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="draw this performance (.npz or .csv of `edtalk predict` or `capture`); the voice is only heard",
    )
    add_idle_options(parser)
    add_word_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=movie_or_sequence,
        required=True,
        help="movie.mp4, or a sequence such as frames/%%04d.png or, in half floats and linear light, frames/%%04d.exr",
    )
    parser.add_argument(
        "--frames",
        type=frame_range,
        metavar="A-B",
        help="only these, counted from 1: a sequence keeps their numbers, a movie their sound",
    )
    add_overwrite_option(parser)
    parser.add_argument(
        "--crop",
        type=crop_square,
        metavar="X,Y,SIDE[,ROLL]",
        help="the square around the face: centre and side in the portrait's pixels, roll in degrees (default: found)",
    )
    parser.add_argument(
        "--full", action="store_true", help="the face in the whole portrait (default: the face alone)"
    )
    parser.add_argument(
        "--size",
        type=whole_number,
        default=512,
        metavar="PIXELS",
        help="largest side of face pictures: 256, 512, 768 or 1024, as bundle and portrait allow (default: 512)",
    )
    parser.add_argument(
        "--alpha", action="store_true", help="the face's soft matte as straight alpha (sequences only)"
    )
    parser.add_argument(
        "--workers",
        type=whole_number,
        metavar="N",
        help="processes that draw on the CPU, a core and 0.4 GB each (default: as many as cores, 8 at most)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Predict, or read the weights, and render; print what was written."""
    from edtalk_server import api
    from edtalk_server.service.memory import usable_cores

    with clean_termination():
        result = api.animate(
            arguments.portrait,
            arguments.voice,
            arguments.output,
            bundle=arguments.bundle,
            device=arguments.device,
            **performance_options(arguments),
            full=arguments.full,
            alpha=arguments.alpha,
            size=arguments.size,
            workers=arguments.workers or min(usable_cores(), MOST_WORKERS),
            weights=arguments.weights,
            crop=arguments.crop,
            also=arguments.also,
            frames=arguments.frames,
            overwrite=arguments.overwrite,
            on_note=lambda note: print(f"note: {note}", file=sys.stderr),
            on_progress=StepLine().show,
        )
    width, height = result.size
    print(f"{result.out}: {result.frames} frames, {width} x {height}, at {result.fps} a second")
    return 0
