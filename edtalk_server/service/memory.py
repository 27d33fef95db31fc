"""What has to be set before the numerical libraries start: threads and, with glibc, how memory is kept.

By default glibc hands each large block back to the system; the page faults cost up to 40 % of a frame's time
on a CPU. Raised thresholds keep the memory; they are read once, at the start of a process, so the server
starts itself anew with them (same process number) where they are missing.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

_GIB = 1024**3
_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(8 * _GIB),
    "MALLOC_TRIM_THRESHOLD_": str(16 * _GIB),
    "MALLOC_TOP_PAD_": str(_GIB // 4),
}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads(cores: int) -> int:
    """Threads for the model: all of a small machine, one less on a larger one, where Blender wants to live
    too."""
    return cores if cores <= 4 else cores - 1


def missing_settings(environ: Mapping[str, str], threads: int, glibc: bool) -> dict[str, str]:
    """The variables to add. What the user has set stays."""
    wanted = dict.fromkeys(_THREADS, str(threads)) | (_MALLOC if glibc else {})
    return {name: value for name, value in wanted.items() if name not in environ}


def apply(threads: int | None) -> None:
    """Set the threads; with glibc and unset memory thresholds, start this process anew with them."""
    glibc = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
    count = threads or default_threads(usable_cores())
    missing = missing_settings(os.environ, count, glibc)
    if threads:
        missing |= dict.fromkeys(_THREADS, str(threads))
    anew = any(name in missing for name in _MALLOC)
    os.environ.update(missing)
    if anew:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (ourselves, no shell)


def memory_in_use() -> int:
    """Bytes of memory of this process; 0 where the system does not say."""
    if sys.platform == "linux":
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
