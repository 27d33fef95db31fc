"""Check whether this installation works; with --golden, whether it computes what the paper's network does."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edtalk_server.cli.options import add_model_options
from shared_protocol import __version__
from shared_protocol.errors import EDTalkError

if TYPE_CHECKING:
    from edtalk_server.evaluation.golden.checks import GoldenSet

_LIBRARIES = ("torch", "numpy", "pyzmq", "msgpack", "safetensors", "opencv-python-headless", "pillow")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--golden DIR [--set NAME]`, `--bundle` and `--device`."""
    parser.add_argument(
        "--golden", metavar="DIR", type=Path, help="compare with the vector files of a folder"
    )
    parser.add_argument("--set", metavar="NAME", help="name of the golden set (default: found in the folder)")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 where everything works, else 1."""
    if arguments.golden is not None:
        return _golden(arguments.golden, arguments.set)
    return _health(arguments.bundle, arguments.device)


# --- health ---


def _health(bundle: str, device: str) -> int:
    print(f"edtalk {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(", ".join(f"{name} {_version(name)}" for name in _LIBRARIES))
    try:
        _try_engine(bundle, device)
    except EDTalkError as error:
        print(f"FAILED: {error.cause} {error.fix}")
        return 1
    print("all is well")
    return 0


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _try_engine(name: str, device: str) -> None:
    import numpy as np

    from edtalk_server.engine import Engine
    from shared_protocol.messages import Crop

    begin = time.perf_counter()
    engine = Engine.open(name, device)
    manifest = engine.bundle.manifest
    took = time.perf_counter() - begin
    print(f"bundle {manifest.name} {manifest.version} ({manifest.licence}, {manifest.size} px): {took:.1f} s")
    print(f"device {engine.device_name}")
    gradient = np.linspace(0, 255, engine.size, dtype=np.uint8)
    picture = np.stack(np.broadcast_arrays(gradient[:, None], gradient[None, :], np.uint8(128)), axis=-1)
    begin = time.perf_counter()
    source = engine.prepare(picture, Crop(engine.size / 2, engine.size / 2, float(engine.size)))
    prepared = time.perf_counter()
    frame = engine.render(source, source.weights[None])[0]
    drawn = time.perf_counter()
    print(f"one portrait {prepared - begin:.2f} s, one frame {drawn - prepared:.2f} s, {frame.shape[0]} px")


# --- golden vectors ---


def _golden(directory: Path, name: str | None) -> int:
    import torch

    from edtalk_server.evaluation.golden import folder
    from edtalk_server.evaluation.golden.checks import GoldenSet

    files = folder.vector_files(directory)
    if name is None:
        name = folder.find_set_name(directory, files)
    elif not folder.verify(name, files):
        print(f"warning: the set {name} does not make the inputs that are stored in {directory}")
    print(f"set {name}, {len(files)} files; errors in units of their tolerance (at most 1 is accepted)")
    golden = GoldenSet(name)
    with torch.no_grad():
        results = [_golden_file(file, golden) for file in files]
    failed = results.count(False)
    print(
        f"{failed} of {len(files)} files are beyond tolerance" if failed else "all files are within tolerance"
    )
    return 1 if failed else 0


def _golden_file(file: Path, golden: GoldenSet) -> bool:
    from edtalk_server.evaluation.golden import checks, folder
    from edtalk_server.evaluation.golden.compare import Comparison

    try:
        stored = folder.read(file)
        check = checks.check_for(stored)
        if check is None:
            print(f"FAIL {file.name}: nothing in it is known")
            return False
        comparison = Comparison(stored)
        check(comparison, golden)
        key, worst = comparison.worst()
    except EDTalkError as error:
        print(f"FAIL {error.cause} {error.fix}")
        return False
    except (ValueError, TypeError, LookupError, RuntimeError) as error:  # arrays of other shapes than a set's
        print(f"FAIL {file.name}: it cannot be compared ({type(error).__name__}: {error})")
        return False
    unchecked = comparison.unchecked()
    rest = f", {len(unchecked)} not checked: {', '.join(unchecked[:5])}" if unchecked else ""
    print(
        f"{'ok  ' if worst.ratio <= 1.0 else 'FAIL'} {file.name}: largest error {worst.ratio:.3f} ({key}: {worst}), "
        f"{len(comparison.findings)} compared{rest}"
    )
    return worst.ratio <= 1.0
