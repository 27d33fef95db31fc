"""Servers for the Blender on the virtual screen: they run in this environment, one for each stand-in that asks.

See stand_in.py for what is said. When a stand-in ends, however it does, its server is ended.
"""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextmanager
def servers(folder: Path, has_model: bool) -> Iterator[int]:
    """Serve stand-ins until the end; the port to ask at. `folder` holds the servers' data and logs."""

    class Asked(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            _serve(self, folder, has_model)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Asked) as door:
        door.daemon_threads = True
        threading.Thread(target=door.serve_forever, daemon=True).start()
        yield int(door.server_address[1])
        door.shutdown()


def _serve(stand_in: socketserver.StreamRequestHandler, folder: Path, has_model: bool) -> None:
    """Run the server that a stand-in asks for."""
    asked = json.loads(stand_in.rfile.readline())
    file = folder / f"server-{time.monotonic_ns()}.json"
    with subprocess.Popen(
        _command(asked, file, has_model),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | {"EDTALK_DATA_DIR": str(folder), "EDTALK_LOG_DIR": str(folder)},
    ) as server:
        hand_on = threading.Thread(target=_hand_on, args=(stand_in, server, file), daemon=True)
        hand_on.start()
        stand_in.rfile.read()  # comes back when the stand-in ends
        server.terminate()
        hand_on.join(10)
        server.kill()


def _command(asked: list[str], file: Path, has_model: bool) -> list[str]:
    """The command for the same server outside: its parent is this process, its connection file another one."""
    options = list(asked[1:])
    for name, value in (("--parent-pid", str(os.getpid())), ("--connection-file", str(file))):
        options[options.index(name) + 1] = value
    kind = [] if has_model else ["--fake"]
    return [sys.executable, "-m", "edtalk_server.cli", asked[0], *options, *kind, "--threads", "1"]


def _hand_on(stand_in: socketserver.StreamRequestHandler, server: subprocess.Popen[str], file: Path) -> None:
    """Tell the stand-in of the connection, then what the server prints, then how it ended."""

    def tell(what: str, value: Any) -> None:
        stand_in.wfile.write(json.dumps([what, value]).encode() + b"\n")

    try:
        while server.poll() is None and not file.exists():
            time.sleep(0.05)
        if file.exists():
            tell("connect", json.loads(file.read_text()))
        assert server.stdout is not None
        for line in server.stdout:
            tell("say", line.rstrip("\n"))
        tell("end", server.wait())
    except OSError:  # nobody listens any more
        server.terminate()
