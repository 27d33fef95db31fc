"""Turn a driving video into weights over time, as a .npz or .csv file."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edtalk_server.cli import weights_file
from edtalk_server.cli.options import ProgressLine, add_fps_option, add_model_options
from edtalk_server.engine import Engine
from edtalk_server.media.steps import Step, run_to_end
from edtalk_server.media.video.reader import Clip
from edtalk_server.motion import capture
from shared_protocol.timebase import TimeBase

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edtalk capture`."""
    parser.add_argument("video", type=Path, help="video of one face (MP4, MOV, MKV, WebM, AVI)")
    add_fps_option(parser)
    weights_file.add_arguments(parser, "picture whose own face the driver's movement is added to")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Capture and write; prints what was written."""
    clip = Clip.open(arguments.video)
    engine = Engine.open(arguments.bundle, arguments.device)
    own = weights_file.own_weights(engine, arguments.portrait)
    line: ProgressLine | None = None

    def show(step: Step) -> None:
        nonlocal line
        if step.done == 0 or line is None:
            line = ProgressLine(step.total, step.stage)
        line.show(step.done)

    layout = engine.bundle.layout
    captured = run_to_end(capture(engine, layout, own, clip, TimeBase(arguments.fps)), show)
    for note in captured.notes:
        log.warning("%s", note)
    weights_file.save(arguments.output, captured.weights, layout, arguments.fps)
    return 0
