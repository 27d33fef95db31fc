"""LPIPS (Zhang et al. 2018, version 0.1, VGG) with the user's own weights: nothing is downloaded.

    distance = Σ over five layers of: mean over places of Σ over channels of weight · (unit features − unit features)²

The network is torchvision's VGG-16 (`vgg16-397923af.pth`); the channels' weights are those that torchmetrics carries.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.engine.tensors import to_tensor
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.metrics.pretrained import fill, tensors_of

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Vgg(nn.Module):
    """The convolutions of VGG-16, numbered as in torchvision; returns the last features of each stage."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.ends: list[int] = []
        inputs = 3
        for stage in _STAGES:
            for width in stage:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            self.ends.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        ends = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.ends:
                ends.append(x)
        return ends


class Lpips:
    """`compare` is a `reenactment.FrameMetric`."""

    def __init__(self, network: Vgg, weights: list[Tensor]) -> None:
        """`weights`: a number for each channel of each stage, [C]."""
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.weights = weights

    @classmethod
    def from_file(cls, vgg: Path) -> Lpips:
        """Load the user's VGG-16. Raises `EDTalkError(BUNDLE_INVALID)` when the file holds something else."""
        network = Vgg()
        tensors = {name: tensor for name, tensor in tensors_of(vgg).items() if name.startswith("features.")}
        fill(network, tensors, vgg)
        return cls(network, _channel_weights())

    @torch.inference_mode()
    def compare(self, drawn: Picture, true: Picture) -> list[float]:
        """Return a distance for each frame; 0 for equal pictures."""
        total = torch.zeros(len(drawn))
        for a, b, weight in zip(self._features(drawn), self._features(true), self.weights, strict=True):
            apart = (F.normalize(a, eps=1e-10) - F.normalize(b, eps=1e-10)).square()
            total += (apart * weight[:, None, None]).sum(1).mean((1, 2))
        return [float(value) for value in total]

    def _features(self, frames: Picture) -> list[Tensor]:
        shift, scale = (torch.tensor(values)[:, None, None] for values in (_SHIFT, _SCALE))
        features: list[Tensor] = self.network((to_tensor(frames) - shift) / scale)
        return features


def _channel_weights() -> list[Tensor]:
    import torchmetrics

    path = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models" / "vgg.pth"
    tensors = tensors_of(path)
    return [tensors[f"lin{stage}.model.1.weight"].flatten() for stage in range(len(_STAGES))]
