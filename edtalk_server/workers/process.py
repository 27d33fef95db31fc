"""A worker as a process of this machine, asked through its standard input and output."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from shared_protocol.processes import python_module

from .worker import WorkerLostError, WorkerSettings

_LENGTH = struct.Struct("<Q")
_MOST_BYTES = 2**34
"""Bytes of a message beyond which the stream is broken."""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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
        send(process.stdin, request)
        return receive(process.stdout)

    def memory(self) -> int:
        """See `Worker`."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

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
            self._process = subprocess.Popen(
                [*python_module("edtalk_server.workers"), json.dumps(asdict(self._settings))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(os.environ, self._card),
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not written any more
            if stream is not None:
                stream.close()


def environment(own: Mapping[str, str], card: str) -> dict[str, str]:
    """Return the environment of a worker: one thread, and one graphics card."""
    values = dict(own) | dict.fromkeys(_ONE_THREAD, "1")
    return values | ({"CUDA_VISIBLE_DEVICES": card} if card else {})


def send(stream: IO[bytes], message: bytes) -> None:
    """Write a message, its length first."""
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Return the next message; None at the end. Raises `ValueError` for a broken stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _MOST_BYTES:
        raise ValueError("the stream of messages is broken")
    message = stream.read(length)
    return message if len(message) == length else None
