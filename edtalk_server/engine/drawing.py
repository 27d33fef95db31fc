"""One frame on the CPU: the step that the engine's own thread and its helpers share, so that their frames are equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from edtalk_server.arrays import Rendered, Weights
from edtalk_server.engine import album
from edtalk_server.engine.device_manager import DeviceManager, EncodedFace
from edtalk_server.engine.tensors import round_levels, to_levels

Decode = Callable[[Any, Tensor], Tensor]
"""Draws the frames of a prepared source (`networks.interface.FaceNetwork.decode`), by whatever means."""


def decode(
    manager: DeviceManager, encoded: EncodedFace, weights: Tensor, compiled: Decode | None = None
) -> Tensor:
    """Return the network's frames [B, 3, n, n] of a face, with what its further pictures give. `compiled` takes the
    place of the network's own `decode`."""
    state = manager.state_of(encoded)
    if not encoded.others:
        frames: Tensor = (compiled or manager.face.decode)(state, weights)
        return frames
    return album.decode(manager.face, [state, *map(manager.state_of, encoded.others)], weights)


def prepare(manager: DeviceManager, encoded: EncodedFace) -> None:
    """Compute the network's states for a face and its further pictures, where they are not there."""
    for one in (encoded, *encoded.others):
        manager.state_of(one)


def draw(
    manager: DeviceManager, encoded: EncodedFace, row: Weights, deep: bool, compiled: Decode | None = None
) -> Rendered:
    """Draw one frame [N, N, 3] under weights [channels]: uint8, or with `deep` float32 levels before rounding."""
    levels = to_levels(decode(manager, encoded, torch.from_numpy(row.copy())[None], compiled))
    frame = levels if deep else round_levels(levels)
    return frame[0].permute(1, 2, 0).contiguous().numpy()
