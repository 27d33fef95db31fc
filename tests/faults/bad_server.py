"""A child process that behaves badly, steered by environment variables. It speaks no protocol by itself.

`BAD_SERVER` is a comma-separated list of: `dies` (at once, with status `BAD_STATUS`), `garbage` (on both
outputs), `silent` (lives and writes no connection file), `deaf` (ignores the request to terminate), `mute`
(writes a connection file and never answers), `stale` (writes the connection file of a process that is gone).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import zmq

from shared_protocol import connection
from shared_protocol.processes import process_start


def main() -> int:
    """Misbehave as told."""
    manners = os.environ["BAD_SERVER"].split(",")
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection-file", type=Path)
    parser.add_argument("--parent-pid")
    file = parser.parse_known_args()[0].connection_file
    if "deaf" in manners:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "garbage" in manners:
        sys.stdout.buffer.write(bytes(range(256)) * 40)
        sys.stderr.buffer.write(b"\xff\xfe{{{\n" * 1000)
    if "dies" in manners:
        sys.stderr.write("error: The model has a hole. Mend it.\n(a last remark)\n")
        return int(os.environ.get("BAD_STATUS", "3"))
    if "mute" in manners or "stale" in manners:
        context = zmq.Context()
        socket = context.socket(zmq.ROUTER)
        socket.bind("tcp://127.0.0.1:*")
        write(file, socket.last_endpoint.decode(), 2**22 + 7 if "stale" in manners else os.getpid())
    if file is not None:
        file.with_suffix(".up").touch()
    while True:
        time.sleep(0.05)


def write(file: Path, endpoint: str, pid: int) -> None:
    """A connection file that looks right."""
    keys = [key.decode() for _ in range(2) for key in zmq.curve_keypair()]
    started = process_start(pid) or "some time ago"
    connection.write(
        file,
        connection.Connection(
            endpoint, keys[0], keys[2], keys[3], pid, started, install=str(Path(sys.executable).parent.parent)
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
