"""Memory: how much is in use, when to give the accelerator's back, and settings that must precede numerical libraries.

The settings are threads and, with glibc, how memory is kept (`edtalk_server.allocator`). A process reads them when it
starts, so the server restarts itself with them (same process number) where they are missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from edtalk_server import allocator

if TYPE_CHECKING:
    from .backend import Backend

DESCRIPTORS = 4096
"""Open files and connections that the server asks the system for. Many systems allow 1,024 unless asked."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads(cores: int) -> int:
    """Return the threads for the model: all cores of a small machine, one less on a larger one, which leaves one for
    Blender."""
    return cores if cores <= 4 else cores - 1


def threads_in_use() -> int:
    """Return the threads for the model that `apply` has set, or would set."""
    given = os.environ.get(_THREADS[0], "")
    return int(given) if given.isdecimal() and int(given) > 0 else default_threads(usable_cores())


def missing_settings(environ: Mapping[str, str], threads: int, glibc: bool) -> dict[str, str]:
    """Return the variables to add. What the user has set stays."""
    wanted = dict.fromkeys(_THREADS, str(threads)) | (allocator.KEEPING if glibc else {})
    return {name: value for name, value in wanted.items() if name not in environ}


def apply(threads: int | None) -> None:
    """Set the threads. With glibc and unset memory thresholds, restart this process with them, where the system lets
    it."""
    glibc = allocator.is_glibc()
    count = threads or default_threads(usable_cores())
    missing = missing_settings(os.environ, count, glibc)
    if threads:
        missing |= dict.fromkeys(_THREADS, str(threads))
    must_restart = any(name in missing for name in allocator.KEEPING)
    os.environ.update(missing)
    if must_restart:
        with suppress(OSError):  # without them frames are only slower
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (ourselves, no shell)


def memory_in_use() -> int:
    """Return the memory of this process in bytes; 0 where the system does not tell."""
    if sys.platform == "linux":
        try:
            return int(os.pread(_statm(), 200, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@cache
def _statm() -> int:
    """Return the descriptor of the kernel's figures, which stays open: others may use up all descriptors."""
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)


def raise_descriptor_limit() -> None:
    """Allow this process up to `DESCRIPTORS` files and connections, as far as the system lets it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class MemoryRelease:
    """When to give the memory of the accelerator, or of helpers, back: when a client asks, or after `after` seconds
    without work (0: never)."""

    def __init__(self, after: float, now: float) -> None:
        self.is_requested = False
        self._after = after
        self._last_work = now
        self._is_released = False

    def note_work(self, now: float) -> None:
        """The model has worked until now."""
        self._last_work, self._is_released = now, False

    def is_due(self, backend: Backend, now: float) -> bool:
        """Was it requested, or is the model unused for long enough and holds memory, as helpers do?"""
        unused = 0 < self._after < now - self._last_work and not self._is_released
        holds = backend.device_memory()[0] > 0 or backend.side_by_side > 1 or backend.helpers_memory() > 0
        return self.is_requested or (unused and holds)

    def note_release(self) -> None:
        """The memory is being given back."""
        self.is_requested, self._is_released = False, True
