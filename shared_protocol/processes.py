"""Checking whether a process is still running.

Systems reuse process numbers, so a process is identified by its number and its start time. The start time is
an opaque text that is only compared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CANNOT_RUN_STATUS = 78
"""The server's exit status when it cannot run as it was started (BSD's EX_CONFIG): starting it again changes nothing.
Python itself ends with 1 after a crash, and `argparse` with 2."""


def python_module(name: str) -> list[str]:
    """Return the beginning of a command that runs a module as a process of this program.

    It finds the packages that this process found: the folder it happens to run in adds none, and where this process is
    isolated from the user's settings (PYTHONPATH), so is that one.
    """
    return [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", name]


def process_start(pid: int) -> str | None:
    """Return a text that differs for every process that ever has this number; None when no such process runs.

    A zombie (ended, but not yet collected by its parent) counts as ended. Raises `OSError` when the system does not
    tell, for example because this process has too many files open.
    """
    return _start(pid) if pid > 0 else None


def is_running(pid: int, started: str) -> bool:
    """Return whether the process with this number and start time is still running; True if the system does not tell."""
    try:
        return bool(started) and process_start(pid) == started
    except OSError:
        return True


def _start_on_linux(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the program's name is in brackets and may hold spaces
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZXx" else f"{_boot_id()}:{start_ticks}"


def _boot_id() -> str:
    """Return the identity of this boot, because start times count from it."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _start_by_ps(pid: int) -> str | None:
    answer = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, start = answer.stdout.strip().partition(" ")
    return None if answer.returncode or not state or state.startswith("Z") else start.strip()


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    def _start(pid: int) -> str | None:
        """Return the creation time, by Win32 calls (`os.kill(pid, 0)` would end the process)."""
        query_limited_information, still_active = 0x1000, 259
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        kernel.GetExitCodeProcess.argtypes = [wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD)]
        kernel.GetProcessTimes.argtypes = [wintypes.HANDLE, *[ctypes.POINTER(wintypes.FILETIME)] * 4]
        kernel.CloseHandle.argtypes = [wintypes.HANDLE]
        handle = kernel.OpenProcess(query_limited_information, False, pid)
        if not handle:
            return None
        try:
            code, times = wintypes.DWORD(), [wintypes.FILETIME() for _ in range(4)]
            alive = kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value == still_active
            known = kernel.GetProcessTimes(handle, *[ctypes.byref(time) for time in times])
            created = (times[0].dwHighDateTime << 32) | times[0].dwLowDateTime
            return str(created) if alive and known else None
        finally:
            kernel.CloseHandle(handle)

elif sys.platform == "linux":
    _start = _start_on_linux
else:
    _start = _start_by_ps


def find_compiler(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the C++ compiler that torch would use, or None."""
    if chosen := environ.get("CXX"):
        return shutil.which(chosen)
    names = ("cl",) if sys.platform == "win32" else ("g++", "clang++", "c++")
    if sys.platform == "darwin" and not _has_developer_tools():
        return None  # what has these names asks, in a window, whether to install the tools
    return next((found for name in names if (found := shutil.which(name))), None)


def _has_developer_tools() -> bool:
    """Tell whether macOS has its command line developer tools."""
    try:
        return not subprocess.run(["xcode-select", "-p"], capture_output=True, check=False).returncode
    except OSError:
        return False
