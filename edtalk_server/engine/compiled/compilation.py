"""Compiling in the background: a library is found in the cache or built, checked, and then there to be used."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import logging
import os
import platform
import subprocess
import threading
from pathlib import Path

import torch
from torch import Tensor

from edtalk_server.engine.compiled import build
from edtalk_server.engine.compiled.library import FrameLibrary, LibraryError
from edtalk_server.engine.compiled.settings import Precision
from edtalk_server.networks.fast import FastEDTalk, FastSource
from shared_protocol import paths
from shared_protocol.processes import find_compiler, python_module

logger = logging.getLogger(__name__)

LEAST_PSNR = 50.0
"""Decibels by which a library's frame must be like the uncompiled one; below, it is not used."""
_LONGEST_BUILD_S = 900.0
_PEAK = 2.0
_NICENESS = 10


class Compilation:
    """The library of one network, in the making or made. `is_ready` turns true at most once."""

    def __init__(self, face: FastEDTalk, precision: Precision) -> None:
        self._face, self._precision = face, precision
        self._library: FrameLibrary | None = None
        self._thread = threading.Thread(target=self._work, name="edtalk-compile", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> str:
        """The name of the way that its frames are drawn."""
        return f"compiled {self._precision.value}"

    @property
    def is_ready(self) -> bool:
        """Can frames be drawn with it? Any thread."""
        return self._library is not None

    def start(self) -> None:
        """Begin, in a thread that gives way to all others and in a process of low priority."""
        self._thread.start()

    def wait(self) -> bool:
        """Wait for the end. Return whether it is ready."""
        self._thread.join()
        return self.is_ready

    def stop(self) -> None:
        """End a build that is under way."""
        if self._process is not None:
            self._process.kill()

    def decode(self, prepared: FastSource, weights: Tensor) -> Tensor:
        """Return frames as `FastEDTalk.decode` does, and by it from the library's first failure on."""
        try:
            if self._library is not None:
                return self._library.decode(prepared, weights)
        except LibraryError as error:
            logger.warning("frames are drawn uncompiled from now on: %s", error)
            self._library = None
        return self._face.decode(prepared, weights)

    def _work(self) -> None:
        try:
            folder = library_folder(self._face, self._precision)
            if not (folder / build.SIGNATURE).is_file():
                self._build(folder)
            self._library = self._checked(FrameLibrary(folder, self._precision))
        except (LibraryError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            logger.warning("frames stay uncompiled: %s", error)

    def _build(self, folder: Path) -> None:
        if find_compiler() is None:
            raise LibraryError("there is no C++ compiler")
        config = json.dumps(self._face.network.config.to_dict())
        command = [*python_module(build.__name__), config, self._precision.value, str(folder)]
        kept = {"TORCHINDUCTOR_CACHE_DIR": str(folder.parent / "work"), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command,
            env=os.environ | kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        _give_way(self._process.pid)
        atexit.register(self.stop)
        try:
            _, errors = self._process.communicate(timeout=_LONGEST_BUILD_S)
        finally:
            self.stop()
            atexit.unregister(self.stop)
        if self._process.returncode:
            raise LibraryError(errors.decode(errors="replace").strip()[-300:] or "the compiler failed")

    def _checked(self, library: FrameLibrary) -> FrameLibrary:
        """Return the library after it has drawn a frame like the network's own. Raises `LibraryError`."""
        with torch.inference_mode():
            prepared = self._face.prepare(_smooth_picture(self._face.size))
            difference = library.decode(prepared, prepared.weights) - self._face.decode(
                prepared, prepared.weights
            )
        found = psnr(difference)
        if not found >= LEAST_PSNR:
            raise LibraryError(f"the compiled frame differs ({found:.1f} dB)")
        return library


def _smooth_picture(size: int) -> Tensor:
    """Return a picture [1, 3, size, size] of a few waves: like a photo it changes little from pixel to pixel."""
    line = torch.linspace(0.0, 6.0, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([(x + y).sin(), (2.0 * x).cos(), (y - 0.5 * x).sin()])[None] * 0.8


def psnr(difference: Tensor) -> float:
    """Return the peak signal-to-noise ratio, in decibels, of frames in [-1, 1] that differ by so much."""
    return float(20.0 * torch.log10(_PEAK / difference.square().mean().sqrt().clamp_min(1e-9)))


def library_folder(face: FastEDTalk, precision: Precision) -> Path:
    """Return the folder of a network's library, in a cache that only this user can write.

    Its name depends on all that the library depends on: code, torch, size, precision, processor. Raises `OSError`.
    """
    what = (torch.__version__, face.network.config.to_dict(), precision.value, _processor(), _sources())
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]
    cache = paths.make_private_folder(paths.cache_dir() / "compiled")
    if not paths.is_safe_folder(cache):
        raise PermissionError(f"others can write to {cache}")
    return cache / digest


def _processor() -> str:
    """Return what tells processors apart whose machine code differs."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return f"{platform.machine()} {platform.processor()}"
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def _sources() -> str:
    """Return the sum of the code that is compiled."""
    from edtalk_server.networks import blocks, fast, generator

    files = [Path(str(module.__file__)) for module in (blocks, fast, generator, build)]
    files += [Path(build.__file__).with_name(name) for name in ("frame.py", "winograd.py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _give_way(pid: int) -> None:
    """Let a process run after others that want the processor, as far as the system can."""
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
