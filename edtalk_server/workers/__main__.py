"""A worker's process: answers the messages on its standard input, and ends when that does."""

from __future__ import annotations

import json
import os
import signal
import sys

from edtalk_server.workers.drawer import Drawer
from edtalk_server.workers.process import receive, send
from edtalk_server.workers.worker import WorkerSettings


def main() -> int:
    """Answer until the input ends. What libraries print goes to the error stream."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    drawer = Drawer(WorkerSettings(**json.loads(sys.argv[1])))
    while (request := receive(sys.stdin.buffer)) is not None:
        send(answers, drawer.answer(request))
    return 0


if __name__ == "__main__":
    sys.exit(main())
