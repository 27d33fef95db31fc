"""Speed of the paper's network at its exact size against the release's schedule, in one run, on two CPU cores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from edtalk_server import bundles
from edtalk_server.arrays import Picture, Weights
from edtalk_server.bundles import BundleManifest, NetworkPart
from edtalk_server.engine import Engine
from edtalk_server.engine.compiled.compilation import psnr
from edtalk_server.engine.compiled.settings import CompileSettings, Precision
from edtalk_server.engine.tensors import to_pictures
from edtalk_server.evaluation.speed.release import ReleaseProcess, network, pictures
from edtalk_server.evaluation.speed.timing import Line, Work, ratio, speeds
from edtalk_server.media.output_spec import DEFAULT_OUTPUT
from shared_protocol.banks import numbered_layout
from shared_protocol.messages import Crop

_FRAMES = 8
_THREADS = 2


def exact_lines(rounds: int, helpers: int = _THREADS - 1) -> Iterator[Line]:
    """Measure eager and compiled frames, drawn by two processes of one thread each, beside the release's schedule with
    two threads. Compiles first, which takes a minute or two unless the libraries are in the cache."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, portrait = _bundle(Path(name)), to_pictures(pictures(256)[0])[0]
        references = {
            "release": ReleaseProcess(_THREADS),
            "release_kept": ReleaseProcess(_THREADS, keeps_memory=True),
        }
        for process in references.values():
            stack.callback(process.end)
        engines = {path: _engine(folder, path, helpers, stack) for path in ("", *(map(str, Precision)))}
        works: dict[str, Work] = {key: process.draw for key, process in references.items()}
        likeness = {}
        for path, engine in engines.items():
            work, likeness[path] = _work(engine, portrait, engines[""])
            works[path or "eager"] = work
        measured = speeds(works, rounds)
    words = {
        "release": "the release's schedule, 2 threads, as its program runs",
        "release_kept": "the release's schedule, 2 threads, with this project's memory settings",
        "eager": "this engine, not compiled, 2 processes",
        "float32": f"compiled, float32, 2 processes; {likeness['float32']:.0f} dB to eager",
        "bfloat16": f"compiled, bfloat16 from 64 px on, 2 processes; {likeness['bfloat16']:.0f} dB to eager",
    }
    lines = {key: Line(f"exact_{key}", measured[key].rate, "frames/s", words[key]) for key in words}
    yield from lines.values()
    for key in ("eager", "float32", "bfloat16"):
        for base in ("release", "release_kept"):
            yield ratio(f"exact_{key}_to_{base}", lines[key], lines[base], f"{key} / {words[base]}")


def _bundle(folder: Path) -> Path:
    face = network()
    manifest = BundleManifest(
        name="exact",
        title="Random weights of the exact size",
        version="1",
        licence="CC0-1.0",
        size=face.size,
        face=NetworkPart("edtalk", face.config.to_dict(), "face.safetensors"),
        layout=numbered_layout(),
    )
    bundles.save(folder / "exact", manifest, {"face": face})
    return folder / "exact"


def _engine(folder: Path, path: str, helpers: int, stack: ExitStack) -> Engine:
    engine = Engine.open(folder, "cpu")
    if path and engine.start_compiling(CompileSettings(True, Precision(path))):
        engine.wait_until_compiled()
    engine.start_helpers(helpers)
    stack.callback(engine.end_helpers)
    return engine


def _work(engine: Engine, portrait: Picture, eager: Engine) -> tuple[Work, float]:
    """Return the work of drawing frames under different weights, and how alike they are to uncompiled ones."""
    source = engine.prepare(portrait, Crop(128.0, 128.0, 256.0))
    change = np.random.default_rng(0).normal(size=(_FRAMES, engine.channels)) * 0.3
    change[:, 26:] = 0.0  # one expression, as in the release's program
    rows: Weights = (source.weights + change).astype(np.float32)
    drawn, expected = (
        np.stack(one.render_each(source, rows[:2], DEFAULT_OUTPUT, np.copy)) for one in (engine, eager)
    )
    difference = torch.from_numpy(drawn.astype(np.float32) - expected.astype(np.float32)) / 127.5
    return lambda: float(len(engine.render(source, rows))), psnr(difference)
