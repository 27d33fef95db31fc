"""The process that listens, as this process sees it."""

from __future__ import annotations

import atexit
import contextlib
import logging
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from edtalk_server import child_process

logger = logging.getLogger(__name__)

_MODULE = __name__.rpartition(".")[0]
_PATIENCE_S = 5.0
"""Seconds that the process has to end."""


class Listener:
    """Starts the process when it is first asked, and again after it has ended. Several threads take turns."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pids(self) -> tuple[int, ...]:
        """The number of the process, if there is one."""
        process = self._process
        return () if process is None or process.poll() is not None else (process.pid,)

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer. Raises `OSError` when the process cannot start, or ends before it has answered."""
        with self._lock:
            if not self.pids:
                self._end()
                self._process = child_process.start(_MODULE)
                atexit.register(self.end)
            answer = self._asked(child_process.pack(question))
            if answer is None:
                self._end()
                raise OSError("the recogniser has ended")
        return child_process.unpack(answer)

    def _asked(self, question: bytes) -> bytes | None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            child_process.send(process.stdin, question)
            return child_process.receive(process.stdout)
        except (OSError, ValueError) as error:
            logger.warning("the recogniser failed: %s", error)
            return None

    def end(self) -> None:
        """End the process, after what it was asked last."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.end)
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
