"""Make a portrait speak: a movie with sound, or a numbered image sequence."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

from edtalk_server.cli.options import (
    ProgressLine,
    add_liveliness_options,
    add_model_options,
    add_voice_option,
    clean_termination,
    liveliness,
)
from edtalk_server.engine import Engine
from edtalk_server.media.audio.voice import load_voice
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.output_spec import FACE, FULL, OutputSpec
from edtalk_server.media.video.sequence import SequenceWriter, check_pattern, is_deep, is_pattern
from edtalk_server.media.video.writer import MovieWriter
from edtalk_server.motion import predict
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase

_MOVIES = (".mp4", ".mov", ".mkv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edtalk render`."""
    parser.add_argument("--portrait", type=Path, required=True, help="picture with a face")
    add_voice_option(parser)
    add_liveliness_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=_output,
        required=True,
        help="movie.mp4, or a sequence such as frames/%%04d.png or, in half floats and linear light, frames/%%04d.exr",
    )
    parser.add_argument(
        "--full", action="store_true", help="the face in the whole portrait (default: the face alone)"
    )
    parser.add_argument(
        "--alpha", action="store_true", help="the face's soft matte as straight alpha (sequences only)"
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
            f"{text!r} is neither a movie (.mp4) nor a sequence (frames/%04d.png or .exr)"
        )
    return path


def run(arguments: argparse.Namespace) -> int:
    """Predict and render; frames are written as they come, so the length of the voice does not matter."""
    look = _look(arguments)
    voice = load_voice(arguments.voice)
    portrait = load_portrait(arguments.portrait)
    engine = Engine.open(arguments.bundle, arguments.device)
    source = engine.prepare(portrait)
    for note in source.notes:
        print(f"note: {note}", file=sys.stderr)
    size = source.full_size if arguments.full else (engine.size, engine.size)
    life = liveliness(arguments, engine.bundle.layout)
    weights = predict(engine.bundle, source.weights, voice, TimeBase(arguments.fps), life=life)
    progress = ProgressLine(len(weights), f"rendering on {engine.device_name}")
    with (
        clean_termination(),
        _writer(arguments.output, arguments.fps, size, arguments.voice) as writer,
    ):
        done = 0
        for frames in engine.stream(source, weights, look):
            for frame in frames:
                writer.write(frame)
            done += len(frames)
            progress.show(done)
    print(f"{arguments.output}: {len(weights)} frames, {size[0]} x {size[1]}, at {arguments.fps} a second")
    return 0


def _look(arguments: argparse.Namespace) -> OutputSpec:
    output: Path = arguments.output
    if arguments.alpha and not is_pattern(output):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "A movie holds no alpha.",
            "Render a sequence, such as frames/%04d.png, or leave --alpha away.",
        )
    return OutputSpec(
        FULL if arguments.full else FACE, arguments.alpha, is_pattern(output) and is_deep(output)
    )


def _writer(output: Path, fps: Fraction, size: tuple[int, int], voice: Path) -> MovieWriter | SequenceWriter:
    if is_pattern(output):
        return SequenceWriter(output)
    return MovieWriter(output, fps, size, voice)
