"""A worker as a process of this machine, asked through its standard input and output."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from dataclasses import asdict

from edtalk_server import child_process

from .worker import WorkerLostError, WorkerSettings


class ProcessWorker:
    """Starts the process when it is first asked, and again after it has ended. `card`: the graphics card it may use, as
    `CUDA_VISIBLE_DEVICES` names it (empty: what this process may)."""

    def __init__(self, settings: WorkerSettings, card: str = "") -> None:
        self._settings, self._card = settings, card
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @property
    def pid(self) -> int:
        """The number of the process; 0 where there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def ask(self, request: bytes) -> bytes:
        """See `Worker`."""
        self._start()
        try:
            answer = self._asked(request)
        except (OSError, ValueError) as error:
            raise self._lost(str(error)) from error
        if answer is None:
            raise self._lost("it ended")
        return answer

    def _asked(self, request: bytes) -> bytes | None:
        """Return the answer of the process; None where it ended."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        child_process.send(process.stdin, request)
        return child_process.receive(process.stdout)

    def memory(self) -> int:
        """See `Worker`."""
        return child_process.memory_of(self.pid)

    def close(self) -> None:
        """See `Worker`."""
        self._is_closed = True
        if (process := self._process) is not None:
            _end(process)

    def _lost(self, reason: str) -> WorkerLostError:
        if self._process is not None:
            _end(self._process)
            reason, self._process = f"{reason}, status {self._process.returncode}", None
        return WorkerLostError(reason)

    def _start(self) -> None:
        if self._is_closed:
            raise WorkerLostError("it was ended")
        if self._process is not None and self._process.poll() is not None:
            _end(self._process)
            self._process = None
        if self._process is None:
            settings = json.dumps(asdict(self._settings))
            self._process = child_process.start("edtalk_server.workers", settings, card=self._card)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not written any more
            if stream is not None:
                stream.close()
