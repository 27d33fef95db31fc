"""Turn a voice into weights over time, as a .npz or .csv file."""

from __future__ import annotations

import argparse

from edtalk_server.cli import weights_file
from edtalk_server.cli.options import add_liveliness_options, add_model_options, add_voice_option, liveliness
from edtalk_server.engine import Engine
from edtalk_server.media.audio.voice import load_voice
from edtalk_server.motion import predict
from shared_protocol.timebase import TimeBase


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edtalk predict`."""
    add_voice_option(parser)
    add_liveliness_options(parser)
    weights_file.add_arguments(parser, "picture on whose pose and expression the result is built")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict and write; prints what was written."""
    engine = Engine.open(arguments.bundle, arguments.device)
    voice = load_voice(arguments.voice)
    own = weights_file.own_weights(engine, arguments.portrait)
    life = liveliness(arguments, engine.bundle.layout)
    rows = predict(engine.bundle, own, voice, TimeBase(arguments.fps), life=life)
    weights_file.save(arguments.output, rows, engine.bundle.layout, arguments.fps)
    return 0
