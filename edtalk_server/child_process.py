"""Processes of our own that answer through their standard input and output: how they start, and their messages.

A message is eight bytes of length and a msgpack map, in which an array is its type, shape and data. Both ends are ours,
and nothing is unpickled. The environment gives a process one thread: several of them share a machine's cores, and a
frame's bytes do not depend on how many cores there are.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from weakref import WeakSet

import msgpack
import numpy as np

from edtalk_server import allocator
from shared_protocol.processes import python_module

_LENGTH = struct.Struct("<Q")
_MOST_BYTES = 2**34
"""Bytes of a message beyond which the stream is broken."""
_MOST_ARRAY_BYTES = 2**31 - 1
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ARRAY = "array"
_started: WeakSet[subprocess.Popen[bytes]] = WeakSet()


def start(module: str, *arguments: str, card: str = "") -> subprocess.Popen[bytes]:
    """Start a module of ours with pipes to its input and output. `card`: the graphics card it may use, as
    `CUDA_VISIBLE_DEVICES` names it (empty: what this process may). Raises `OSError`."""
    process = subprocess.Popen(
        [*python_module(module), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(os.environ, card),
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    _started.add(process)
    return process


def environment(own: Mapping[str, str], card: str = "") -> dict[str, str]:
    """Return the environment of such a process: one thread, memory that is kept, and one graphics card."""
    values = (allocator.KEEPING if allocator.is_glibc() else {}) | dict(own)
    values |= dict.fromkeys(_ONE_THREAD, "1")
    return values | ({"CUDA_VISIBLE_DEVICES": card} if card else {})


def answers() -> IO[bytes]:
    """Return the stream for this process's answers, in a process that `start` has started.

    What libraries print goes to the error stream from here on, and Ctrl-C is for the program that started us.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stream


def memory_of_started() -> int:
    """Return the memory in bytes of all processes that `start` has started and that have not ended. Any thread."""
    return sum(memory_of(process.pid) for process in tuple(_started) if process.returncode is None)


def memory_of(pid: int) -> int:
    """Return the memory of a process in bytes; 0 where the system does not tell, or there is none."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# --- messages --------------------------------------------------------------------------------------------------------


def send(stream: IO[bytes], message: bytes) -> None:
    """Write a message, its length first. Raises `OSError` when the other side is gone."""
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


def pack(values: Mapping[str, Any]) -> bytes:
    """Return a map of plain values and arrays as a message."""
    return bytes(msgpack.packb(values, default=_array_to_map))


def unpack(message: bytes) -> dict[str, Any]:
    """Return what `pack` was given; arrays are read-only, tuples have become lists."""
    values: dict[str, Any] = msgpack.unpackb(
        message, object_hook=_map_to_array, max_bin_len=_MOST_ARRAY_BYTES, max_str_len=_MOST_ARRAY_BYTES
    )
    return values


def _array_to_map(value: Any) -> dict[str, Any]:
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value)
        return {_ARRAY: data.dtype.str, "shape": list(data.shape), "data": data.tobytes()}
    raise TypeError(f"a {type(value).__name__} cannot be sent to another process")


def _map_to_array(values: dict[str, Any]) -> Any:
    if _ARRAY not in values:
        return values
    return np.frombuffer(values["data"], np.dtype(values[_ARRAY])).reshape(values["shape"])
