"""Turn a voice, words or both into weights over time, as a .npz or .csv file."""

from __future__ import annotations

import argparse
import sys

from edtalk_server.cli import weights_file
from edtalk_server.cli.options import (
    add_idle_options,
    add_model_options,
    add_voice_option,
    add_word_options,
    performance_options,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edtalk predict`."""
    add_voice_option(parser)
    add_idle_options(parser)
    add_word_options(parser)
    weights_file.add_arguments(parser, "picture whose own pose and expression the result starts from")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict and write; print what was written."""
    from edtalk_server import api

    options = performance_options(arguments)
    weights_file.check_place(arguments)
    engine = api.Engine.open(arguments.bundle, arguments.device)
    layout = engine.bundle.layout
    voice = None if arguments.voice is None else api.load_voice(arguments.voice)
    own = weights_file.own_weights(engine, arguments.portrait)
    predicted = api.perform(engine, own, voice, **options)
    for note in (*api.idle_notes(layout, arguments.blinks, arguments.head), *predicted.notes):
        print(f"note: {note}", file=sys.stderr)
    weights_file.save(
        arguments.output, predicted.weights, layout, arguments.fps, weights_file.extras(predicted)
    )
    return 0
