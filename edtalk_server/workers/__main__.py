"""A worker's process: answers the messages on its standard input, and ends when that does."""

from __future__ import annotations

import json
import sys

from edtalk_server import child_process
from edtalk_server.workers.drawer import Drawer
from edtalk_server.workers.worker import WorkerSettings


def main() -> int:
    """Answer until the input ends."""
    answers = child_process.answers()
    drawer = Drawer(WorkerSettings(**json.loads(sys.argv[1])))
    while (request := child_process.receive(sys.stdin.buffer)) is not None:
        child_process.send(answers, drawer.answer(request))
    return 0


if __name__ == "__main__":
    sys.exit(main())
