"""The Inception network of FID (Heusel et al. 2017), as data: for weights that the user has, nothing is downloaded.

The file is that of pytorch-fid, `pt_inception-2015-12-05-6726825d.pth`. Against the usual Inception v3, averages leave
out padding and the last block takes a maximum, as in the TensorFlow graph of 2015. Pictures are enlarged to 299 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.engine.tensors import to_tensor
from edtalk_server.evaluation.metrics.features import Doubles
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.metrics.pretrained import fill, tensors_of

_SIDE = 299
_BATCH = 8

Kernel = tuple[int, int]
Layer = tuple[str, int, Kernel, int]
"""Name, channels, kernel, stride (padded where the stride is 1)."""


class _Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Branches side by side: chains of layers, of which the last may be two next to each other, and pooling.

    `pool` is the number of channels of the layer after an average, or 0 for a maximum of stride 2; with `maximum` that
    layer follows a maximum instead.
    """

    def __init__(
        self,
        inputs: int,
        chains: Sequence[Sequence[Layer | tuple[Layer, Layer]]],
        pool: int,
        maximum: bool = False,
    ) -> None:
        super().__init__()
        self._chains: list[list[tuple[str, ...]]] = []
        self._pool, self._maximum = pool, maximum
        for chain in chains:
            names, channels = [], inputs
            for step in chain:
                layers = step if isinstance(step[0], tuple) else (step,)
                for name, outputs, kernel, stride in layers:  # type: ignore[misc]
                    self.add_module(name, _Convolution(channels, outputs, kernel, stride, padded=stride == 1))
                names.append(tuple(str(layer[0]) for layer in layers))
                channels = int(layers[0][1])  # type: ignore[call-overload]
            self._chains.append(names)
        if pool:
            self.branch_pool = _Convolution(inputs, pool, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        branches: list[Tensor] = []
        for chain in self._chains:
            y = x
            for names in chain[:-1]:
                y = self.get_submodule(names[0])(y)
            branches += [self.get_submodule(name)(y) for name in chain[-1]]
        return torch.cat([*branches, self._pooled(x)], 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if not self._pool:
            return F.max_pool2d(x, 3, 2)
        if self._maximum:
            return self.branch_pool(F.max_pool2d(x, 3, 1, 1))  # type: ignore[no-any-return]
        return self.branch_pool(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))  # type: ignore[no-any-return]


def _pointwise(name: str, channels: int) -> Layer:
    return (name, channels, (1, 1), 1)


def _block_35(inputs: int, pool: int) -> _Mixed:
    five = [_pointwise("branch5x5_1", 48), ("branch5x5_2", 64, (5, 5), 1)]
    three = [
        _pointwise("branch3x3dbl_1", 64),
        ("branch3x3dbl_2", 96, (3, 3), 1),
        ("branch3x3dbl_3", 96, (3, 3), 1),
    ]
    return _Mixed(inputs, [[_pointwise("branch1x1", 64)], five, three], pool)


def _to_17(inputs: int) -> _Mixed:
    double = [
        _pointwise("branch3x3dbl_1", 64),
        ("branch3x3dbl_2", 96, (3, 3), 1),
        ("branch3x3dbl_3", 96, (3, 3), 2),
    ]
    return _Mixed(inputs, [[("branch3x3", 384, (3, 3), 2)], double], 0)


def _block_17(inputs: int, width: int) -> _Mixed:
    single = [
        _pointwise("branch7x7_1", width),
        ("branch7x7_2", width, (1, 7), 1),
        ("branch7x7_3", 192, (7, 1), 1),
    ]
    double = [_pointwise("branch7x7dbl_1", width)]
    for number, kernel in ((2, (7, 1)), (3, (1, 7)), (4, (7, 1))):
        double.append((f"branch7x7dbl_{number}", width, kernel, 1))
    double.append(("branch7x7dbl_5", 192, (1, 7), 1))
    return _Mixed(inputs, [[_pointwise("branch1x1", 192)], single, double], 192)


def _to_8(inputs: int) -> _Mixed:
    three = [_pointwise("branch3x3_1", 192), ("branch3x3_2", 320, (3, 3), 2)]
    seven = [
        _pointwise("branch7x7x3_1", 192),
        ("branch7x7x3_2", 192, (1, 7), 1),
        ("branch7x7x3_3", 192, (7, 1), 1),
    ]
    return _Mixed(inputs, [three, [*seven, ("branch7x7x3_4", 192, (3, 3), 2)]], 0)


def _block_8(inputs: int, maximum: bool) -> _Mixed:
    def fork(stem: str) -> tuple[Layer, Layer]:
        return (f"{stem}a", 384, (1, 3), 1), (f"{stem}b", 384, (3, 1), 1)

    single: list[Layer | tuple[Layer, Layer]] = [_pointwise("branch3x3_1", 384), fork("branch3x3_2")]
    double: list[Layer | tuple[Layer, Layer]] = [
        _pointwise("branch3x3dbl_1", 448),
        ("branch3x3dbl_2", 384, (3, 3), 1),
        fork("branch3x3dbl_3"),
    ]
    return _Mixed(inputs, [[_pointwise("branch1x1", 320)], single, double], 192, maximum)


class Inception(nn.Module):
    """Pictures [B, 3, 299, 299] in [-1, 1] -> features [B, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, (3, 3), 2, padded=False)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, (3, 3), padded=False)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = _Convolution(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = _Convolution(80, 192, (3, 3), padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = (
            _block_35(192, 32),
            _block_35(256, 64),
            _block_35(288, 64),
        )
        self.Mixed_6a = _to_17(288)
        self.Mixed_6b, self.Mixed_6c = _block_17(768, 128), _block_17(768, 160)
        self.Mixed_6d, self.Mixed_6e = _block_17(768, 160), _block_17(768, 192)
        self.Mixed_7a = _to_8(768)
        self.Mixed_7b, self.Mixed_7c = _block_8(1280, maximum=False), _block_8(2048, maximum=True)
        self.fc = nn.Linear(2048, 1008)  # part of the weight file; its output is not used

    def forward(self, x: Tensor) -> Tensor:
        for name, layer in self.named_children():
            if name == "fc":
                break
            x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = F.max_pool2d(x, 3, 2)
        return x.mean((2, 3))


class FidFeatures:
    """`summary` is a `reenactment.FeatureExtractor`."""

    def __init__(self, network: Inception) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)

    @classmethod
    def from_file(cls, path: Path) -> FidFeatures:
        """Load the user's weights. Raises `EDTalkError(BUNDLE_INVALID)` when the file holds something else."""
        network = Inception()
        fill(network, tensors_of(path), path)
        return cls(network)

    @torch.inference_mode()
    def summary(self, frames: Picture) -> Doubles:
        """Return a row of features for each picture, [N, 2048]."""
        rows = []
        for part in to_tensor(frames).split(_BATCH):
            large = F.interpolate(part, (_SIDE, _SIDE), mode="bilinear", align_corners=False)
            rows.append(self.network(large).numpy())
        return np.concatenate(rows).astype(np.float64)
