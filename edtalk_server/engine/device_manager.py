"""Where a face network lives, and what happens when memory is short.

The network is on the requested device while it works; in main memory after `release`, until the next work; on the CPU
as long as the device has no room for it. The encoded faces live beside the network and are encoded again after they
were dropped.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edtalk_server.arrays import Picture
from edtalk_server.engine.tensors import to_tensor
from shared_protocol.errors import EDTalkError, ErrorCode

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
MAX_ENCODED_FACES = 8
"""Faces that stay encoded; one of the official bundle takes 0.1 GB."""
ON_CPU = "on the CPU because the graphics memory is full"
"""The notice while the requested device has no room."""


@dataclass(eq=False)
class EncodedFace:
    """A source's face, uint8 [size, size, 3], and the network's `state` for it (None: dropped).

    `photo`: the same face in a multiple of that size, for networks that move the photo; their frames are as large.
    `others`: further pictures of the person, as large, which give what they know better (`engine.album`).
    """

    picture: Picture
    photo: Picture | None = None
    state: Any = None
    others: tuple[EncodedFace, ...] = ()


class DeviceManager:
    """Moves one face network between devices, for one thread at a time; on the CPU several may ask for the states of
    faces. `notice` is for people; empty: all is well."""

    def __init__(self, face: Any, device: torch.device) -> None:
        self.face = face
        self.requested = device
        self.device = CPU
        self.notice = ""
        self._encoded: OrderedDict[int, weakref.ref[EncodedFace]] = OrderedDict()
        self._listing = threading.Lock()
        self.ensure_on_device()

    def ensure_on_device(self) -> None:
        """Move to the requested device, or to the CPU if it has no room. Call it before any work."""
        if self.device == self.requested or self.notice == ON_CPU:
            return
        try:
            self._move(self.requested)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self.fall_back_to_cpu()

    def release(self) -> None:
        """Move to main memory and drop what was encoded. The next work tries the device again."""
        self.notice = ""
        if self.requested != CPU:
            self._move(CPU)

    def fall_back_to_cpu(self) -> bool:
        """Move to the CPU and stay there. Return False when it is there already."""
        if self.notice == ON_CPU or self.requested == CPU:
            return False
        self.notice = ON_CPU
        logger.warning("the memory of %s is full: computing on the CPU", self.requested)
        self._move(CPU)
        return True

    def state_of(self, encoded: EncodedFace) -> Any:
        """Return the network's state for a face; encode the face if it has none."""
        state = encoded.state
        if state is None:
            state = self.face.prepare(self.tensor(encoded.picture[None]))
            if encoded.photo is not None:
                state = self.face.with_photo(state, self.tensor(encoded.photo[None]))
            encoded.state = state
        with self._listing:
            self._encoded[id(encoded)] = weakref.ref(encoded)
            self._encoded.move_to_end(id(encoded))
            while len(self._encoded) > MAX_ENCODED_FACES:
                _drop_state(self._encoded.popitem(last=False)[1])
        return state

    def tensor(self, pictures: Picture) -> Tensor:
        """Return pictures uint8 [B, size, size, 3] as the network's input, float32 [B, 3, size, size]."""
        return to_tensor(pictures).to(self.device)

    def memory(self) -> tuple[int, int]:
        """Return the bytes that this process holds of the device's memory, and its size; 0 and 0 for the CPU."""
        if self.requested.type == "cuda":
            return torch.cuda.memory_reserved(self.requested), _capacity(self.requested)
        if self.requested.type == "mps":
            return torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory()
        return 0, 0

    def free_unused(self) -> None:
        """Give back memory that is held but not used."""
        if self.requested.type == "cuda":
            torch.cuda.empty_cache()
        elif self.requested.type == "mps":
            torch.mps.empty_cache()

    def _move(self, device: torch.device) -> None:
        while self._encoded:
            _drop_state(self._encoded.popitem()[1])
        self.device = device
        if isinstance(self.face, nn.Module):
            with torch.inference_mode(False):  # weights of inference know no slopes, which the follower needs
                self.face.to(device)
        self.free_unused()


def _drop_state(reference: weakref.ref[EncodedFace]) -> None:
    encoded = reference()
    if encoded is not None:
        encoded.state = None


def _capacity(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).total_memory)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, on any device. Torch reports it for the CPU and MPS as a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def out_of_memory() -> EDTalkError:
    """Return the error when no device has room for a single frame."""
    return EDTalkError(
        ErrorCode.OUT_OF_MEMORY,
        "There is not enough memory to compute a single frame.",
        "Close other programs, or start the server on the CPU.",
    )
