"""The network as the follower sees it: one picture's face, drawn as a sketch, and the slopes of what is seen there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edtalk_server.arrays import Doubles, Picture, Weights
from edtalk_server.engine.device_manager import DeviceManager
from edtalk_server.engine.following.follower import Judge, sight

Compute = Callable[[Callable[[DeviceManager], Tensor]], Weights]
"""Does a small piece of work on the device, without gradients."""


class SketchArtist:
    """Draws the face of one picture, uint8 [S, S, 3], with a network that has a `sketch`."""

    def __init__(self, face: Any, picture: Picture, compute: Compute) -> None:
        self._face, self._picture, self._compute = face, picture, compute
        self._sketch: Any = None
        self._device: torch.device | None = None

    def draw(self, weights: Doubles) -> Doubles:
        """Return the `sight` of the face under weights [C]."""

        def drawn(manager: DeviceManager) -> Tensor:
            return self._seen(manager, _row(weights, manager))

        return self._compute(drawn)[0].astype(np.float64)

    def draw_with_slopes(self, weights: Doubles, judge: Judge) -> tuple[Doubles, Doubles]:
        """Return the `sight`, and by how much each weight [C] moves it the way that `judge` wants."""

        def drawn(manager: DeviceManager) -> Tensor:
            with torch.inference_mode(False), torch.enable_grad():
                row = _row(weights, manager).requires_grad_()
                seen = self._seen(manager, row)
                known = seen.detach()[0]
                wanted = judge(known.cpu().numpy().astype(np.float64))
                (slopes,) = torch.autograd.grad(seen, row, torch.from_numpy(wanted[None]).to(seen))
                return torch.cat([known, slopes[0]])

        seen, slopes = np.split(self._compute(drawn).astype(np.float64), [-len(weights)])
        return seen, slopes

    def _seen(self, manager: DeviceManager, row: Tensor) -> Tensor:
        return sight(self._face, self._face.decode(self._sketch_on(manager), row))

    def _sketch_on(self, manager: DeviceManager) -> Any:
        """Return the network's state for the face; tensors of inference know no slopes, so it is computed apart."""
        if self._device != manager.device:
            with torch.inference_mode(False), torch.no_grad():
                self._sketch = self._face.sketch(self._face.prepare(manager.tensor(self._picture[None])))
            self._device = manager.device
        return self._sketch


def _row(weights: Doubles, manager: DeviceManager) -> Tensor:
    return torch.from_numpy(weights[None].astype(np.float32)).to(manager.device)
