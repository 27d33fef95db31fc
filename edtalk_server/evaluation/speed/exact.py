"""Speed of the paper's exact network against the release's schedule, in one run, on one CPU core and on two."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
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
_PATHS = ("", *map(str, Precision))
_BASES = {"release": "as its program runs", "release_kept": "with this project's memory settings"}
_HOW_MANY = {1: ("1 thread", "1 process"), 2: ("2 threads", "2 processes")}
"""One thread of the reference stands against one process here, two against two."""


def exact_lines(rounds: int) -> Iterator[Line]:
    """Measure eager and compiled frames beside the release's schedule: one process against one thread, and two
    processes of one thread against two threads. Compiles first, which takes minutes unless the libraries are in the
    cache."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        works, words = _references(stack)
        folder, portrait = _bundle(Path(name)), to_pictures(pictures(256)[0])[0]
        engines = {path: _engine(folder, path, stack) for path in _PATHS}
        for path, engine in engines.items():
            own, likeness = _works(engine, portrait, engines[""])
            works |= {_key(path, count): work for count, work in own.items()}
            words |= {_key(path, count): _words(path, count, likeness) for count in own}
        measured = speeds(works, rounds)
    lines = {key: Line(f"exact_{key}", measured[key].rate, "frames/s", words[key]) for key in works}
    yield from lines.values()
    for count, path, base in product(_HOW_MANY, _PATHS, _BASES):
        upper, lower = _key(path, count), f"{base}_{count}"
        what = f"{path or 'eager'}, {_HOW_MANY[count][1]} / {words[lower]}"
        yield ratio(f"exact_{upper}_to_{base}", lines[upper], lines[lower], what)


def _references(stack: ExitStack) -> tuple[dict[str, Work], dict[str, str]]:
    """Return the work of the release's schedule with one thread and with two, with both settings of memory, and what
    each is in words."""
    works: dict[str, Work] = {}
    words = {}
    for (base, settings), count in product(_BASES.items(), _HOW_MANY):
        process = ReleaseProcess(count, keeps_memory=base == "release_kept")
        stack.callback(process.end)
        works[f"{base}_{count}"] = process.draw
        words[f"{base}_{count}"] = f"the release's schedule, {_HOW_MANY[count][0]}, {settings}"
    return works, words


def _key(path: str, count: int) -> str:
    return f"{path or 'eager'}_{count}"


def _words(path: str, count: int, likeness: float) -> str:
    processes = _HOW_MANY[count][1]
    return (
        f"compiled, {path}, {processes}; {likeness:.0f} dB to eager" if path else f"not compiled, {processes}"
    )


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


def _engine(folder: Path, path: str, stack: ExitStack) -> Engine:
    engine = Engine.open(folder, "cpu")
    if path and engine.start_compiling(CompileSettings(True, Precision(path))):
        engine.wait_until_compiled()
    engine.start_helpers(1)
    stack.callback(engine.end_helpers)
    return engine


def _works(engine: Engine, portrait: Picture, eager: Engine) -> tuple[dict[int, Work], float]:
    """Return the work of drawing frames under different weights by one process and by two, and how alike they are to
    uncompiled ones."""
    source = engine.prepare(portrait, Crop(128.0, 128.0, 256.0))
    change = np.random.default_rng(0).normal(size=(_FRAMES, engine.channels)) * 0.3
    change[:, 26:] = 0.0  # one expression, as in the release's program
    rows: Weights = (source.weights + change).astype(np.float32)
    drawn, expected = (
        np.stack(one.render_each(source, rows[:2], DEFAULT_OUTPUT, np.copy)) for one in (engine, eager)
    )
    difference = torch.from_numpy(drawn.astype(np.float32) - expected.astype(np.float32)) / 127.5
    works: dict[int, Work] = {
        1: lambda: float(sum(len(engine.render(source, row[None])) for row in rows)),  # no helper for one row
        2: lambda: float(len(engine.render(source, rows))),
    }
    return works, psnr(difference)
