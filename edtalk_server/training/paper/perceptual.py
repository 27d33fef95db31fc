"""L_per, and the network it compares features of: VGG-19 where its weights are given, else our feature network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edtalk_server.bundles import foreign_files
from edtalk_server.training.paper.config import Judging
from edtalk_server.training.paper.features import FeatureNetwork
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

# VGG-19 (Simonyan and Zisserman 2015, configuration E) as far as relu5_1; numbers are channels, 0 halves the size.
_VGG_LAYERS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)
_VGG_WATCHED = (1, 6, 11, 20, 29)  # relu1_1, 2_1, 3_1, 4_1, 5_1 in torchvision's numbering
_SMALLEST = 16
"""Side in pixels of the smallest pictures compared."""


class PerceptualNetwork(Protocol):
    """Turns pictures [B, 3, S, S] in [-1, 1] into feature maps."""

    def features(self, pictures: Tensor) -> list[Tensor]: ...


class Vgg19(nn.Module):
    """The five feature maps that perceptual losses compare (Johnson et al. 2016). Named like torchvision's, whose
    weights it takes; a classifier's tensors in such a file are ignored."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in _VGG_LAYERS:
            if width == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        self.layers = nn.ModuleList(layers)
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("deviation", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values)[None, :, None, None], persistent=False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        x = (pictures * 0.5 + 0.5 - self.mean) / self.deviation
        maps = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in _VGG_WATCHED:
                maps.append(x)
        return maps

    def load(self, path: Path) -> None:
        """Load weights from a file; `EDTalkError(BUNDLE_INVALID)` when it is not a VGG-19's."""
        stored = read_tensors(path)
        own = self.state_dict()
        renamed = {name: stored.get(name.replace("layers", "features", 1)) for name in own}
        for name, tensor in renamed.items():
            if tensor is None or tensor.shape != own[name].shape:
                raise _unusable(
                    path, f"its tensor {name.replace('layers', 'features', 1)} is missing or misshapen"
                )
        self.load_state_dict(renamed)


class Perceptual(nn.Module):
    """L_per (section 3.2): mean absolute difference of feature maps, summed over maps and picture sizes.

    The release sums 5 maps at 4 sizes. Sizes below 16 pixels are left out.
    """

    def __init__(self, network: nn.Module, scales: int) -> None:
        super().__init__()
        self.network = network
        self.scales = scales

    def forward(self, drawn: Tensor, true: Tensor) -> Tensor:
        total = torch.zeros((), device=drawn.device)
        for scale in range(self.scales):
            if scale and drawn.shape[-1] < 2 * _SMALLEST:
                break
            if scale:
                drawn, true = F.avg_pool2d(drawn, 2), F.avg_pool2d(true, 2)
            total = total + self._at_one_size(drawn, true)
        return total

    def _at_one_size(self, drawn: Tensor, true: Tensor) -> Tensor:
        features_of = self.network.features
        with torch.no_grad():
            wanted = features_of(true)  # type: ignore[operator]
        features = features_of(drawn)  # type: ignore[operator]
        return torch.stack([(a - b).abs().mean() for a, b in zip(features, wanted, strict=True)]).sum()


def open_feature_network(judging: Judging) -> FeatureNetwork:
    """Return the feature network of a finished stage `features`, frozen; where none is named, an untrained one, with a
    warning."""
    network = FeatureNetwork()
    if judging.features:
        path = Path(judging.features)
        stored = read_tensors(path, key="average")
        try:
            network.load_state_dict(stored)
        except RuntimeError as error:
            raise _unusable(path, "it is no checkpoint of the stage `features`") from error
    else:
        log.warning(
            "No feature network is named: the losses use an untrained one, which says little about faces."
        )
    return network.eval().requires_grad_(requires_grad=False)


def open_perceptual_network(judging: Judging) -> nn.Module:
    """Return the network of L_per, frozen: VGG-19 where its file is named, else `open_feature_network`."""
    if not judging.vgg:
        return open_feature_network(judging)
    network = Vgg19()
    network.load(Path(judging.vgg))
    return network.eval().requires_grad_(requires_grad=False)


def read_tensors(path: Path, key: str = "") -> Mapping[str, Any]:
    """Read the tensors of a safetensors file or a torch state dict (under `key`), running nothing that it holds."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = foreign_files.load_weights(path)
    except (
        OSError,
        ValueError,
        SafetensorError,
        UnpicklingError,
    ) as error:
        raise _unusable(path, f"it cannot be read ({error})") from error
    tensors = state.get(key) if key and isinstance(state, Mapping) else state
    if not isinstance(tensors, Mapping):
        raise _unusable(path, "it holds no tensors by name")
    return tensors


def _unusable(path: Path, cause: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.BUNDLE_INVALID,
        f"The weights {path} cannot be used: {cause}.",
        "Name another file in `judging`.",
    )
