"""A compiled frame: a shared library with the interface of torch's ahead-of-time compiler, called through ctypes.

Torch's own loader holds Python's lock for the whole frame; ctypes gives it up, so that the server still answers.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edtalk_server.engine.compiled.build import LIBRARY, SIGNATURE, signature
from edtalk_server.engine.compiled.frame import FusedConstants, fuse, tensors_of
from edtalk_server.engine.compiled.settings import Precision
from edtalk_server.networks.fast import Constants, FastSource, enhanced

_to_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_to_pointer.restype, _to_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_to_capsule = ctypes.pythonapi.PyCapsule_New
_to_capsule.restype, _to_capsule.argtypes = (
    ctypes.py_object,
    [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
)


class LibraryError(Exception):
    """The library cannot be used: it does not load, fails, or expects other tensors."""


class FrameLibrary:
    """The library of a folder. Raises `LibraryError`. One thread at a time."""

    def __init__(self, folder: Path, precision: Precision) -> None:
        self._precision = precision
        self._fused: tuple[Constants, FusedConstants] | None = None
        self._handle = ctypes.c_void_p()
        try:
            self._expected = json.loads((folder / SIGNATURE).read_text(encoding="utf-8"))
            self._library = ctypes.CDLL(str(folder / LIBRARY))
            create = self._library.AOTInductorModelContainerCreateWithDevice
        except (OSError, ValueError, AttributeError) as error:
            raise LibraryError(str(error)) from error
        self._check(create(ctypes.byref(self._handle), ctypes.c_size_t(1), b"cpu", None))

    def decode(self, prepared: FastSource, weights: Tensor) -> Tensor:
        """Return frames [B, 3, size, size] as `FastEDTalk.decode` does, one row after another."""
        return torch.cat([self._frame(prepared, row[None].contiguous()) for row in weights])

    def _frame(self, prepared: FastSource, row: Tensor) -> Tensor:
        constants = prepared.constants
        if self._fused is None or self._fused[0] is not constants:
            self._fused = constants, fuse(constants, self._precision)
        features = enhanced(prepared, row[:, constants.expression_start :])
        return self._call(tensors_of((self._fused[1], prepared.latent, features, row)))

    def _call(self, tensors: list[Tensor]) -> Tensor:
        if signature(tensors) != self._expected:
            raise LibraryError("the library expects other tensors")
        given = torch._C._aoti.unsafe_alloc_void_ptrs_from_tensors(tensors)  # the library frees them
        inputs = (ctypes.c_void_p * len(given))(*(_to_pointer(one, None) for one in given))
        outputs = (ctypes.c_void_p * 1)()
        counts = ctypes.c_size_t(len(given)), ctypes.c_size_t(1)
        run = self._library.AOTInductorModelContainerRun
        self._check(run(self._handle, inputs, counts[0], outputs, counts[1], None, None))
        made: list[Any] = [_to_capsule(outputs[0], None, None)]
        frame: Tensor = torch._C._aoti.alloc_tensors_by_stealing_from_void_ptrs(made)[0]
        return frame

    def _check(self, status: int) -> None:
        if status != 0:
            raise LibraryError("the library failed")
