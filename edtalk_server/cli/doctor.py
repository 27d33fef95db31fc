"""Check whether this installation works; with --golden, whether it computes what the paper's network does."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edtalk_server.cli.options import add_json_option, add_model_options, print_json
from edtalk_server.service.memory import usable_cores
from shared_protocol import __version__, connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.processes import find_compiler

if TYPE_CHECKING:
    from edtalk_server.evaluation.golden.checks import GoldenSet

_LIBRARIES = ("torch", "numpy", "pyzmq", "msgpack", "safetensors", "opencv-python-headless", "pillow")
_MISSING = "missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--draw`, `--golden DIR [--set NAME]`, `--bundle`, `--device` and `--json`."""
    parser.add_argument(
        "--draw", action="store_true", help="also load the networks and draw a frame (takes some seconds)"
    )
    parser.add_argument(
        "--golden", metavar="DIR", type=Path, help="compare with the vector files of a folder"
    )
    parser.add_argument("--set", metavar="NAME", help="name of the golden set (default: found in the folder)")
    add_model_options(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 where everything works, else 1."""
    if arguments.golden is not None:
        return _golden(arguments.golden, arguments.set)
    return _health(arguments.bundle, arguments.device if arguments.draw else None, arguments.json)


# --- health ---


def _health(bundle: str, device: str | None, as_json: bool) -> int:
    """Check what is installed; with a `device` also draw a frame there. Without, nothing heavy is imported."""
    facts: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "cores": usable_cores(),
        "compiler": find_compiler(),
        "servers": [
            {"process": one.pid, "version": one.version, "workers": one.workers}
            for one in connection.find_live()
        ],
    }
    try:
        _check_installed(facts["libraries"])
        facts["bundle"] = _check_files(bundle)
        if device is not None:
            facts |= _try_engine(bundle, device)
    except EDTalkError as error:
        facts["error"] = f"{error.cause} {error.fix}"
    facts["well"] = "error" not in facts
    if as_json:
        print_json(facts)
    else:
        print("\n".join(_in_words(facts)))
    return 0 if facts["well"] else 1


def _in_words(facts: dict[str, Any]) -> Iterator[str]:
    yield f"edtalk {facts['version']}, Python {facts['python']}, {facts['system']}"
    yield ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    yield f"{facts['cores']} cores for processes that draw (edtalk serve --workers auto)"
    absent = "none: networks of the paper's kind are drawn uncompiled, more slowly"
    yield f"C++ compiler: {facts['compiler'] or absent}"
    for one in facts["servers"]:
        yield f"running server: process {one['process']}, version {one['version']}, {one['workers']} workers"
    if "error" in facts:
        yield f"FAILED: {facts['error']}"
        return
    bundle = facts["bundle"]
    yield f"bundle {bundle['name']} {bundle['version']} ({bundle['licence']}, {bundle['size']} px): its files are whole"
    if "seconds" not in facts:
        yield "everything is in place; --draw also draws a frame"
        return
    took = facts["seconds"]
    yield f"networks opened in {took['open']:.1f} s on {facts['device']}"
    yield f"one portrait {took['portrait']:.2f} s, one frame {took['frame']:.2f} s, {facts['pixels']} px"
    yield "all is well"


def _check_installed(versions: Mapping[str, str]) -> None:
    missing = [name for name, version in versions.items() if version == _MISSING]
    if missing:
        raise EDTalkError(
            ErrorCode.NOT_READY, f"Not installed: {', '.join(missing)}.", "Install the server again."
        )


def _check_files(name: str) -> dict[str, Any]:
    """Compare the bundle's files with their sums; return what it is."""
    from edtalk_server.bundles.load import find, read_manifest, verified_bytes

    manifest, _ = read_manifest(name)
    folder = find(name)
    for file, entry in manifest.files.items():
        verified_bytes(folder / file, entry)
    return {key: getattr(manifest, key) for key in ("name", "version", "licence", "size")}


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return _MISSING


def _try_engine(name: str, device: str) -> dict[str, Any]:
    """Open a bundle and draw one frame; return what they are and how many seconds that took."""
    import numpy as np

    from edtalk_server.engine import Engine
    from shared_protocol.messages import Crop

    begin = time.perf_counter()
    engine = Engine.open(name, device)
    opened = time.perf_counter()
    gradient = np.linspace(0, 255, engine.size, dtype=np.uint8)
    picture = np.stack(np.broadcast_arrays(gradient[:, None], gradient[None, :], np.uint8(128)), axis=-1)
    source = engine.prepare(picture, Crop(engine.size / 2, engine.size / 2, float(engine.size)))
    prepared = time.perf_counter()
    frame = engine.render(source, source.weights[None])[0]
    drawn = time.perf_counter()
    return {
        "device": engine.device_name,
        "seconds": {"open": opened - begin, "portrait": prepared - opened, "frame": drawn - prepared},
        "pixels": frame.shape[0],
    }


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
