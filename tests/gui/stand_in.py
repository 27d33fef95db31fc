#!/usr/bin/python3
"""The server's Python as the Blender on the virtual screen sees it: that root has no PyTorch, so the server itself runs
outside (see outside.py). This process begins and ends with it, and hands on what it says.

Each line that comes from outside is a JSON list: ["connect", the connection file's values], ["say", a line],
["end", the exit status].
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
HOLD = Path("/mnt/out/hold")
"""While this file is there, no server starts."""
sys.path.insert(0, str(HERE))

from shared_protocol import connection, processes  # noqa: E402


def main(command: list[str]) -> int:
    """Have a server run outside with these arguments of `edtalk_server.cli`, for as long as this process lives."""
    file = Path(command[command.index("--connection-file") + 1])
    while HOLD.exists():
        time.sleep(0.05)
    port = int((HERE / "outside.port").read_text())
    try:
        with socket.create_connection(("127.0.0.1", port)) as outside, outside.makefile("rw") as lines:
            lines.write(json.dumps(command) + "\n")
            lines.flush()
            for line in lines:
                what, value = json.loads(line)
                if what == "connect":
                    mine = processes.process_start(os.getpid()) or ""
                    server = replace(connection.Connection(**value), pid=os.getpid(), started=mine)
                    connection.write(file, replace(server, install=str(HERE.parent)))
                elif what == "say":
                    sys.stdout.write(value + "\n")
                    sys.stdout.flush()
                else:
                    return int(value)
    finally:
        connection.remove(file)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("edtalk_server.cli") + 1 :]))
