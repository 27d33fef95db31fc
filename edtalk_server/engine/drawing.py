"""One frame on the CPU: the step that the engine's own thread and its helpers share, so that their frames are equal."""

from __future__ import annotations

import torch

from edtalk_server.arrays import Rendered, Weights
from edtalk_server.engine.device_manager import DeviceManager, EncodedFace
from edtalk_server.engine.tensors import round_levels, to_levels


def draw(manager: DeviceManager, encoded: EncodedFace, row: Weights, deep: bool) -> Rendered:
    """Draw one frame [N, N, 3] under weights [channels]: uint8, or with `deep` float32 levels before rounding."""
    state = manager.state_of(encoded)
    levels = to_levels(manager.face.decode(state, torch.from_numpy(row.copy())[None]))
    frame = levels if deep else round_levels(levels)
    return frame[0].permute(1, 2, 0).contiguous().numpy()
