"""Turn a driving video into weights over time, as a .npz or .csv file."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edtalk_server.cli import weights_file
from edtalk_server.cli.options import StepLine, add_fps_option, add_model_options

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edtalk capture`."""
    parser.add_argument("video", type=Path, help="video of one face (MP4, MOV, MKV, WebM, AVI)")
    add_fps_option(parser)
    weights_file.add_arguments(parser, "picture whose own face the driver's movement is added to")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Capture and write; print what was written."""
    from edtalk_server import api
    from edtalk_server.media.video.reader import Clip

    clip = Clip.open(arguments.video)
    engine = api.Engine.open(arguments.bundle, arguments.device)
    own = weights_file.own_weights(engine, arguments.portrait)
    captured = api.capture(engine, own, clip, fps=arguments.fps, on_progress=StepLine().show)
    for note in captured.notes:
        log.warning("%s", note)
    weights_file.save(arguments.output, captured.weights, engine.bundle.layout, arguments.fps)
    return 0
