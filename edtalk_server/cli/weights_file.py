"""Options and files of `predict` and `capture`: the portrait that the result starts from, and the weights."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edtalk_server.cli.options import add_overwrite_option
from shared_protocol.banks import BankLayout
from shared_protocol.emotions import EMOTIONS
from shared_protocol.weights_file import FORMATS, as_csv, as_npz

if TYPE_CHECKING:
    from edtalk_server.arrays import Floats, Weights
    from edtalk_server.engine import Engine
    from edtalk_server.motion import Predicted
    from edtalk_server.motion.visemes import Viseme
    from shared_protocol.messages import Sentence

log = logging.getLogger(__name__)

Extras = Mapping[str, Any]
"""Arrays of a .npz file by their names."""


def add_arguments(parser: argparse.ArgumentParser, portrait_help: str) -> None:
    """Add `--portrait` and `--output`."""
    parser.add_argument("--portrait", type=Path, help=f"{portrait_help} (default: neutral)")
    parser.add_argument("-o", "--output", type=_output, required=True, help="weights.npz or weights.csv")
    add_overwrite_option(parser)


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in .npz or .csv")
    return path


def check_place(arguments: argparse.Namespace) -> None:
    """Raise `EDTalkError(DISK)`, before the work, where the output is there and may not be replaced."""
    if not arguments.overwrite:
        from edtalk_server.media.video.sequence import refuse_existing

        refuse_existing(arguments.output)


def own_weights(engine: Engine, portrait: Path | None) -> Weights:
    """Return the portrait's own weights [channels]; zeros without a portrait."""
    if portrait is None:
        return np.zeros(engine.channels, np.float32)
    from edtalk_server.media.faces.portrait import load_portrait

    source = engine.prepare(load_portrait(portrait))
    for note in source.notes:
        log.warning("%s", note)
    return source.weights


def extras(predicted: Predicted) -> Extras:
    """Return what a .npz file holds of a prediction beside its weights: `emotions` [frames, 8] and `emotion_names`,
    where there are any; `words`, `word_times` [words, 2] in seconds of the voice; `visemes` (names)
    and `viseme_times` [visemes, 2]; and of each sentence its words
    (`sentence_words` [sentences, 2]: first, how many), times, emotion, intensity, and how it was timed."""
    arrays: dict[str, Any] = {}
    if predicted.emotions is not None:
        arrays |= {"emotions": predicted.emotions, "emotion_names": np.array(EMOTIONS)}
    if predicted.words:
        told = predicted.sentences
        arrays |= {
            "words": np.array(predicted.words),
            "word_times": predicted.word_times,
            "visemes": np.array([one.name for one in predicted.visemes], np.str_),
            "viseme_times": _times(predicted.visemes),
            "sentence_words": np.array([[one.first, one.words] for one in told], np.int64).reshape(-1, 2),
            "sentence_times": _times(told),
            "sentence_emotions": np.array([one.emotion for one in told], np.str_),
            "sentence_intensities": np.array([one.intensity for one in told], np.float32),
            "sentence_timed": np.array([one.timed for one in told], np.str_),
        }
    return arrays


def _times(parts: Sequence[Sentence | Viseme]) -> Floats:
    return np.array([[one.start, one.end] for one in parts], np.float32).reshape(-1, 2)


def save(
    path: Path, weights: Weights, layout: BankLayout, fps: Fraction, extras: Extras | None = None
) -> None:
    """Write weights [frames, channels] in the format of the path's ending, and print a line about it. A .npz file holds
    the `extras`, too; a .csv file the emotions, as further columns."""
    from edtalk_server.media.video.sequence import make_folder, write_whole

    names = [basis.identifier for basis in layout.bases]
    make_folder(path.parent)
    write_whole(
        path, (as_csv if path.suffix.lower() == ".csv" else as_npz)(weights, names, fps, extras or {})
    )
    print(f"{path}: {len(weights)} frames of {len(names)} weights at {fps} frames a second")
