"""Turn a driving video into weights over time, as a .npz or .csv file."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edtalk_server.cli import weights_file
from edtalk_server.cli.options import StepLine, add_fps_option, add_model_options
from shared_protocol.banks import Bank

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edtalk capture`."""
    parser.add_argument("video", type=Path, help="video of one face (MP4, MOV, MKV, WebM, AVI)")
    add_fps_option(parser)
    parser.add_argument(
        "--zero",
        type=_zero,
        default="nearest",
        metavar="MOMENT",
        help="the moment of the driver that stands for the portrait: nearest (default: looks most like the "
        "portrait), calmest, or a second of the video",
    )
    parser.add_argument(
        "--absolute", action="store_true", help="take the driver's weights as they are, not their change"
    )
    parser.add_argument(
        "--no-follow",
        dest="follow",
        action="store_false",
        help="only read the driver's face; do not correct it by redrawing it (several times faster)",
    )
    for bank in Bank:
        parser.add_argument(
            f"--{bank.value}",
            type=float,
            default=1.0,
            metavar="STRENGTH",
            help=f"strength of the {bank.value}: 0 keeps the portrait's own, 1 is the driver's (default)",
        )
    weights_file.add_arguments(parser, "picture whose own face the driver's movement is added to")
    add_model_options(parser)


def _zero(text: str) -> str | float:
    """Read `nearest`, `calmest` or a second."""
    if text in ("nearest", "calmest"):
        return text
    second = float(text)
    if not 0 <= second < float("inf"):
        raise argparse.ArgumentTypeError("a second of the video is 0 or more")
    return second


def run(arguments: argparse.Namespace) -> int:
    """Capture and write; print what was written."""
    from edtalk_server import api
    from edtalk_server.media.video.reader import Clip

    weights_file.check_place(arguments)
    clip = Clip.open(arguments.video)
    engine = api.Engine.open(arguments.bundle, arguments.device)
    own = weights_file.own_weights(engine, arguments.portrait)
    strength = {bank: getattr(arguments, bank.value) for bank in Bank}
    settings = api.CaptureSettings(arguments.zero, arguments.absolute, strength, arguments.follow)
    captured = api.capture(
        engine, own, clip, fps=arguments.fps, settings=settings, on_progress=StepLine().show
    )
    for note in captured.notes:
        log.warning("%s", note)
    weights_file.save(arguments.output, captured.weights, engine.bundle.layout, arguments.fps)
    return 0
