"""How the C library keeps memory: settings that a process reads when it starts.

By default glibc returns each large block to the system, and the page faults cost up to 40 % of a frame's time on a
CPU. Higher thresholds keep the memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
import sys

_GIB = 1024**3
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": str(8 * _GIB),
    "MALLOC_TRIM_THRESHOLD_": str(16 * _GIB),
    "MALLOC_TOP_PAD_": str(_GIB // 4),
}
"""Environment variables of glibc, with the values that keep memory."""


def is_glibc() -> bool:
    """Does this Python run on glibc, which reads them?"""
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def give_back() -> None:
    """Give the system back what is free, with glibc: after work that needed much memory once, such as a long voice."""
    if is_glibc():
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
