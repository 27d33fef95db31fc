"""Turn a voice into weights over time, as a .npz or .csv file."""

from __future__ import annotations

import argparse
import csv
import io
import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server import bundles
from edtalk_server.cli.options import add_model_options, add_voice_option
from edtalk_server.media.audio import load_voice
from edtalk_server.media.portrait import load_portrait
from edtalk_server.media.sequence import make_folder, write_whole
from edtalk_server.motion import predict
from shared_protocol.timebase import TimeBase

log = logging.getLogger(__name__)

_FORMATS = (".npz", ".csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edtalk predict`."""
    add_voice_option(parser)
    parser.add_argument(
        "--portrait", type=Path, help="picture whose pose and expression the result keeps (default: neutral)"
    )
    add_model_options(parser)
    parser.add_argument("-o", "--output", type=_output, required=True, help="weights.npz or weights.csv")


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in .npz or .csv")
    return path


def run(arguments: argparse.Namespace) -> int:
    """Predict and write; prints what was written."""
    bundle = bundles.load(arguments.bundle)
    voice = load_voice(arguments.voice)
    own = _own_weights(bundle, arguments.portrait, arguments.device)
    weights = predict(bundle, own, voice, TimeBase(arguments.fps))
    names = [basis.identifier for basis in bundle.layout.bases]
    save = _save_csv if arguments.output.suffix.lower() == ".csv" else _save_npz
    make_folder(arguments.output.parent)
    save(arguments.output, weights, names, arguments.fps)
    print(
        f"{arguments.output}: {len(weights)} frames of {len(names)} weights at {arguments.fps} frames a second"
    )
    return 0


def _own_weights(bundle: bundles.Bundle, portrait: Path | None, device: str) -> npt.NDArray[np.float32]:
    """The portrait's own weights [channels]; zeros without one."""
    if portrait is None:
        return np.zeros(len(bundle.layout), np.float32)
    from edtalk_server.engine import Engine

    source = Engine.open(bundle, device).prepare(load_portrait(portrait))
    for note in source.notes:
        log.warning("%s", note)
    return source.weights


def _save_npz(path: Path, weights: npt.NDArray[np.float32], names: list[str], fps: Fraction) -> None:
    """`weights` [frames, channels], `names` [channels], `fps` (numerator, denominator)."""
    buffer = io.BytesIO()
    rate = np.array([fps.numerator, fps.denominator])
    np.savez(buffer, weights=weights, names=np.array(names), fps=rate)
    write_whole(path, buffer.getvalue())


def _save_csv(path: Path, weights: npt.NDArray[np.float32], names: list[str], fps: Fraction) -> None:
    """A line for each frame: number from 0, second, weights."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["frame", "seconds", *names])
    time_base = TimeBase(fps)
    for frame, row in enumerate(weights):
        writer.writerow([frame, f"{time_base.seconds(frame):.6f}", *(f"{value:.6g}" for value in row)])
    write_whole(path, text.getvalue().encode("utf-8"))
