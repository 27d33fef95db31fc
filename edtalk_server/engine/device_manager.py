"""Where a face network lives, and what is done when its memory is short.

On the device it was asked for while it works; in main memory after `release`, until the next work; on the CPU for as
long as the device has no room for it. What was encoded for a source lives beside the network and is made again where
it was given up.
"""

from __future__ import annotations

import logging
import weakref
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from edtalk_server.engine.source import Picture
from edtalk_server.media.image import to_network
from shared_protocol.errors import EDTalkError, ErrorCode

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
MAX_ENCODED_FACES = 8
"""So many sources stay encoded; one of the official bundle takes 0.1 GB."""
ON_CPU = "on the CPU because the graphics memory is full"


@dataclass(eq=False)
class Encoded:
    """A source's face, uint8 [size, size, 3], and what the network made of it (None: given up). `photo` is the same
    face in a multiple of that size, for networks that move the photo: their frames are then as large."""

    picture: Picture
    photo: Picture | None = None
    state: Any = None


class DeviceManager:
    """One face network and its place, for one thread at a time. `notice` is for people, empty when all is well."""

    def __init__(self, face: Any, device: torch.device) -> None:
        self.face = face
        self.wanted = device
        self.device = CPU
        self.notice = ""
        self._encoded: OrderedDict[int, weakref.ref[Encoded]] = OrderedDict()
        self.ensure_on_device()

    def ensure_on_device(self) -> None:
        """Before any work: be on the device that was asked for, or on the CPU where there is no room."""
        if self.device == self.wanted or self.notice == ON_CPU:
            return
        try:
            self._move(self.wanted)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self.fall_back_to_cpu()

    def release(self) -> None:
        """Go to main memory, and forget what was encoded. The next work tries the device again."""
        self.notice = ""
        if self.wanted != CPU:
            self._move(CPU)

    def fall_back_to_cpu(self) -> bool:
        """Go to the CPU to stay; False when it is there already."""
        if self.notice == ON_CPU or self.wanted == CPU:
            return False
        self.notice = ON_CPU
        logger.warning("the memory of %s is full: computing on the CPU", self.wanted)
        self._move(CPU)
        return True

    def state_of(self, encoded: Encoded) -> Any:
        """What the network makes of a source; encodes it where it was given up."""
        if encoded.state is None:
            encoded.state = self.face.prepare(self.tensor(encoded.picture[None]))
            if encoded.photo is not None:
                encoded.state = replace(encoded.state, photo=self.tensor(encoded.photo[None]))
        self._encoded[id(encoded)] = weakref.ref(encoded)
        self._encoded.move_to_end(id(encoded))
        while len(self._encoded) > MAX_ENCODED_FACES:
            _give_up(self._encoded.popitem(last=False)[1])
        return encoded.state

    def tensor(self, pictures: Picture) -> Tensor:
        """Pictures uint8 [B, size, size, 3] as the network takes them, float32 [B, 3, size, size], in its place."""
        return torch.stack([torch.from_numpy(to_network(one)) for one in pictures]).to(self.device)

    def memory(self) -> tuple[int, int]:
        """Bytes that this process holds of the device's memory, and what the device has; 0 and 0 for the CPU."""
        if self.wanted.type == "cuda":
            return torch.cuda.memory_reserved(self.wanted), _capacity(self.wanted)
        if self.wanted.type == "mps":
            return torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory()
        return 0, 0

    def make_room(self) -> None:
        """Give back what is held but not used."""
        if self.wanted.type == "cuda":
            torch.cuda.empty_cache()
        elif self.wanted.type == "mps":
            torch.mps.empty_cache()

    def _move(self, device: torch.device) -> None:
        while self._encoded:
            _give_up(self._encoded.popitem()[1])
        self.device = device
        if isinstance(self.face, nn.Module):
            self.face.to(device)
        self.make_room()


def _give_up(reference: weakref.ref[Encoded]) -> None:
    encoded = reference()
    if encoded is not None:
        encoded.state = None


def _capacity(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).total_memory)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whichever device. Torch reports it for the CPU and MPS as a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def out_of_memory() -> EDTalkError:
    """The error when not a single frame can be computed anywhere."""
    return EDTalkError(
        ErrorCode.OUT_OF_MEMORY,
        "There is not enough memory to compute a single frame.",
        "Close other programs, or start the server on the CPU.",
    )
