"""Serve portraits, voices and frames to Blender."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edtalk_server.cli.options import add_model_options, worker_count
from shared_protocol import connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.processes import CANNOT_RUN_STATUS

if TYPE_CHECKING:
    from edtalk_server.service.backend import Backend
    from edtalk_server.service.drawing import Drawing

MOST_HELPERS = 8
"""Processes that draw beside each other unless told otherwise, the server among them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edtalk serve`."""
    add_model_options(parser)
    parser.add_argument(
        "--endpoint",
        default="tcp://127.0.0.1:*",
        help="where to listen (default: tcp://127.0.0.1:*, this machine, any free port)",
    )
    parser.add_argument(
        "--parent-pid", type=int, help="end when this process and all later users of the server have ended"
    )
    parser.add_argument(
        "--connection-file", type=Path, help="where to write the keys for clients (owner-only)"
    )
    parser.add_argument(
        "--threads", type=int, help="threads for the model (default: OMP_NUM_THREADS, or by cores)"
    )
    parser.add_argument(
        "--release-after",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="free graphics memory, and end helpers, after this time without work; 0: never (default: 300)",
    )
    parser.add_argument(
        "--workers",
        type=worker_count,
        metavar="N",
        help="draw by N processes of their own, also on several graphics cards; auto: one for each card or core"
        " (default: the server draws, on the CPU with helpers)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="draw on a running Ray cluster: its address, or auto for this machine's (docs/scaling.md)",
    )
    parser.add_argument("--log-file", type=Path, help="default: server.log in the user's log folder")
    parser.add_argument(
        "--fake", action="store_true", help="no model: bars instead of faces, to try the connection"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until asked to end. Prints one line of JSON when the model is open."""
    from edtalk_server.service import memory

    memory.apply(args.threads)  # before anything imports torch; may start this process anew
    memory.raise_descriptor_limit()
    try:
        return _serve(args)
    except EDTalkError as error:
        print(f"error: {error.cause} {error.fix}", file=sys.stderr)
        return CANNOT_RUN_STATUS


def _serve(args: argparse.Namespace) -> int:
    import zmq

    from edtalk_server.service import logs
    from edtalk_server.service.server import Server

    start = time.monotonic()
    log_file = logs.set_up(args.log_file)
    try:
        parents = [args.parent_pid] if args.parent_pid else []
        backend = _backend(args)
        drawing = _drawing(args, _digest(backend))
        server = Server(backend, args.endpoint, parents, args.release_after, drawing)
    except zmq.ZMQError as error:
        raise _cannot_listen(args.endpoint, error) from error
    path = args.connection_file or connection.default_path()
    server.stop_on_signals()
    try:
        connection.write(path, server.connection)
    except OSError as error:
        server.close()
        raise _cannot_write(path, error) from error
    try:
        server.run(lambda: _tell_ready(server.connection.endpoint, path, log_file, time.monotonic() - start))
    finally:
        connection.remove(path)
    return 0


def _backend(args: argparse.Namespace) -> Backend:
    from edtalk_server.service import memory
    from edtalk_server.service.model import EngineBackend, FakeBackend

    if args.fake:
        return FakeBackend()
    is_alone = args.workers is None and args.cluster is None
    beside = min(memory.threads_in_use(), MOST_HELPERS) - 1 if is_alone else 0
    return EngineBackend(args.bundle, args.device, helpers=beside, compiles=is_alone)


def _digest(backend: Backend) -> str:
    """Return the identity of the backend's bundle; empty for the fake one."""
    return str(json.loads(backend.description).get("digest", ""))


def _drawing(args: argparse.Namespace, digest: str) -> Drawing | None:
    """Return the workers that draw; None where this process draws itself."""
    if args.workers is None and args.cluster is None:
        return None
    from edtalk_server.service.drawing import PoolDrawing
    from edtalk_server.service.memory import usable_cores
    from edtalk_server.workers import Pool, WorkerSettings
    from edtalk_server.workers.plan import processes

    settings = WorkerSettings(None if args.fake else args.bundle, args.device, digest)
    if args.cluster is None:
        return PoolDrawing(Pool(processes(settings, args.workers, usable_cores())))
    from edtalk_server.workers import cluster

    return PoolDrawing(Pool(cluster.workers(settings, args.workers or 0, args.cluster), cluster.MOST_TRIES))


def _tell_ready(endpoint: str, path: Path, log_file: Path | None, seconds: float) -> None:
    line = {
        "ready": endpoint,
        "connection_file": str(path),
        "log_file": str(log_file) if log_file else None,
        "seconds": round(seconds, 2),
    }
    print(json.dumps(line), flush=True)


def _cannot_write(path: Path, error: OSError) -> EDTalkError:
    cause = f"The keys for clients cannot be written to {path} ({error.strerror or error})."
    fix = "Name a file in a folder of your own with --connection-file, or set EDTALK_RUNTIME_DIR."
    return EDTalkError(ErrorCode.DISK, cause, fix)


def _cannot_listen(endpoint: str, error: Exception) -> EDTalkError:
    cause = f"The server cannot listen at {endpoint} ({error})."
    return EDTalkError(
        ErrorCode.SERVER_UNREACHABLE, cause, "Choose another --endpoint, such as tcp://127.0.0.1:*."
    )
