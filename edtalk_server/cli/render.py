"""Make a portrait speak: a movie with sound, or a numbered image sequence."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

from edtalk_server.cli.options import (
    ProgressLine,
    add_model_options,
    add_voice_option,
    clean_termination,
)
from edtalk_server.engine import Engine
from edtalk_server.media.audio import load_voice
from edtalk_server.media.portrait import load_portrait
from edtalk_server.media.sequence import SequenceWriter, check_pattern, is_pattern
from edtalk_server.media.video import MovieWriter
from edtalk_server.motion import predict
from shared_protocol.timebase import TimeBase

_MOVIES = (".mp4", ".mov", ".mkv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edtalk render`."""
    parser.add_argument("--portrait", type=Path, required=True, help="picture with a face")
    add_voice_option(parser)
    add_model_options(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=_output,
        required=True,
        help="movie.mp4, or a sequence such as frames/%%04d.png",
    )


def _output(text: str) -> Path:
    path = Path(text)
    if is_pattern(path):
        try:
            check_pattern(path)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    elif path.suffix.lower() not in _MOVIES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a movie (.mp4) nor a sequence (frames/%04d.png)"
        )
    return path


def run(arguments: argparse.Namespace) -> int:
    """Predict and render; frames are written as they come, so the length of the voice does not matter."""
    voice = load_voice(arguments.voice)
    portrait = load_portrait(arguments.portrait)
    engine = Engine.open(arguments.bundle, arguments.device)
    source = engine.prepare(portrait)
    for note in source.notes:
        print(f"note: {note}", file=sys.stderr)
    weights = predict(engine.bundle, source.weights, voice, TimeBase(arguments.fps))
    progress = ProgressLine(len(weights), f"rendering on {engine.device_name}")
    with (
        clean_termination(),
        _writer(arguments.output, arguments.fps, engine.size, arguments.voice) as writer,
    ):
        done = 0
        for frames in engine.stream(source, weights):
            for frame in frames:
                writer.write(frame)
            done += len(frames)
            progress.show(done)
    print(
        f"{arguments.output}: {len(weights)} frames, {engine.size} x {engine.size}, at {arguments.fps} a second"
    )
    return 0


def _writer(output: Path, fps: Fraction, size: int, voice: Path) -> MovieWriter | SequenceWriter:
    if is_pattern(output):
        return SequenceWriter(output)
    return MovieWriter(output, fps, (size, size), voice)
