"""Options and files of `predict` and `capture`: the portrait that the result starts from, and the weights."""

from __future__ import annotations

import argparse
import csv
import io
import logging
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared_protocol.banks import BankLayout
from shared_protocol.timebase import TimeBase

if TYPE_CHECKING:
    from edtalk_server.arrays import Weights
    from edtalk_server.engine import Engine

log = logging.getLogger(__name__)

_FORMATS = (".npz", ".csv")


def add_arguments(parser: argparse.ArgumentParser, portrait_help: str) -> None:
    """Add `--portrait` and `--output`."""
    parser.add_argument("--portrait", type=Path, help=f"{portrait_help} (default: neutral)")
    parser.add_argument("-o", "--output", type=_output, required=True, help="weights.npz or weights.csv")


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in .npz or .csv")
    return path


def own_weights(engine: Engine, portrait: Path | None) -> Weights:
    """Return the portrait's own weights [channels]; zeros without a portrait."""
    if portrait is None:
        return np.zeros(engine.channels, np.float32)
    from edtalk_server.media.faces.portrait import load_portrait

    source = engine.prepare(load_portrait(portrait))
    for note in source.notes:
        log.warning("%s", note)
    return source.weights


def save(path: Path, weights: Weights, layout: BankLayout, fps: Fraction) -> None:
    """Write weights [frames, channels] in the format of the path's ending, and print a line about it."""
    from edtalk_server.media.video.sequence import make_folder, write_whole

    names = [basis.identifier for basis in layout.bases]
    make_folder(path.parent)
    write_whole(path, (as_csv if path.suffix.lower() == ".csv" else as_npz)(weights, names, fps))
    print(f"{path}: {len(weights)} frames of {len(names)} weights at {fps} frames a second")


def as_npz(weights: Weights, names: list[str], fps: Fraction) -> bytes:
    """Return a .npz file with `weights` [frames, channels], `names` [channels] and `fps` (numerator, denominator)."""
    buffer = io.BytesIO()
    np.savez(buffer, weights=weights, names=np.array(names), fps=np.array([fps.numerator, fps.denominator]))
    return buffer.getvalue()


def as_csv(weights: Weights, names: list[str], fps: Fraction) -> bytes:
    """Return a .csv file with a line for each frame: its number from 0, its second, its weights."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["frame", "seconds", *names])
    time_base = TimeBase(fps)
    for frame, row in enumerate(weights):
        writer.writerow([frame, f"{time_base.seconds(frame):.6f}", *(f"{value:.6g}" for value in row)])
    return text.getvalue().encode("utf-8")
