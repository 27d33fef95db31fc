"""Serve portraits, voices and frames to Blender."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edtalk_server.cli.options import add_model_options, whole_number
from shared_protocol import connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.processes import CANNOT_RUN_STATUS

if TYPE_CHECKING:
    from edtalk_server.service.backend import Backend

MOST_WORKERS = 8
"""Processes that draw unless told otherwise."""


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
        "--workers",
        type=whole_number,
        metavar="N",
        help="processes that draw a bake's frames side by side on the CPU, the server among them; each needs a core and"
        " 0.4 GB (default: as many as threads, 8 at most)",
    )
    parser.add_argument(
        "--release-after",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="free graphics memory after this time without work; 0: never (default: 300)",
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
        server = Server(_backend(args), args.endpoint, parents, args.release_after)
    except zmq.ZMQError as error:
        raise _cannot_listen(args.endpoint, error) from error
    path = args.connection_file or connection.default_path()
    server.stop_on_signals()
    try:
        connection.write(path, server.connection)
    except OSError as error:
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
    workers = args.workers or min(memory.threads_in_use(), MOST_WORKERS)
    return EngineBackend(args.bundle, args.device, helpers=workers - 1)


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
