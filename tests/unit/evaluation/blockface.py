"""A face network whose every weight is the grey of one block: what it reads and draws is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.bundles import Bundle, BundleManifest, NetworkPart
from edtalk_server.bundles.manifest import Statistic
from edtalk_server.networks.interface import Encoding
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.banks import BankLayout

BLOCK, ACROSS = 8, 6
SIZE = BLOCK * ACROSS
CONTRAST = 60.0  # grey levels for one unit of weight
MIDDLE = 128.0


def picture(weights: npt.ArrayLike, tint: float = 0.0) -> npt.NDArray[np.uint8]:
    """The face [S, S, 3] under weights [36]; `tint` is who it is, in grey levels of the blue channel."""
    grey = MIDDLE + CONTRAST * np.asarray(weights, np.float64)
    blocks = np.kron(grey.reshape(ACROSS, ACROSS), np.ones((BLOCK, BLOCK)))
    rgb = np.repeat(blocks[..., None], 3, axis=2)
    rgb[..., 2] += tint
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Prepared:
    photo: Tensor
    weights: Tensor


class BlockFace:
    """`crosstalk` [36, 36]: what one unit of each weight (row) really draws. `bias`: by how much of the blue channel's
    tint every weight is misread, so that reading depends on who it is. `reading` [6, 6]: the pose weights that it reads
    for one unit of each pose basis (column)."""

    size = SIZE
    bank_sizes = (20, 6, 10)

    def __init__(
        self,
        crosstalk: npt.ArrayLike | None = None,
        bias: float = 0.0,
        reading: npt.ArrayLike | None = None,
    ) -> None:
        matrix = np.eye(36) if crosstalk is None else np.asarray(crosstalk)
        self.crosstalk = torch.from_numpy(matrix.astype(np.float32))
        self.bias = bias
        self.reading = torch.from_numpy(np.eye(6) if reading is None else np.asarray(reading)).float()

    def encode(self, images: Tensor) -> Encoding:
        return Encoding(images.flatten(1), {})

    def weights_of(self, images: Tensor) -> Tensor:
        levels = (images + 1) * 127.5
        grey = levels[:, 0].reshape(-1, ACROSS, BLOCK, ACROSS, BLOCK).mean((2, 4)).flatten(1)
        tint = (levels[:, 2] - levels[:, 0]).mean((1, 2))[:, None]
        # how far the misreading goes depends on the movement, or it would cancel out in every difference
        read = (grey - MIDDLE) / CONTRAST
        turned = torch.cat([read[:, :20], read[:, 20:26] @ self.reading.T, read[:, 26:]], dim=1)
        return turned * (1 + self.bias * tint)

    def prepare(self, images: Tensor) -> Prepared:
        return Prepared(images, self.weights_of(images))

    def decode(self, prepared: Prepared, weights: Tensor) -> Tensor:
        change = (weights - prepared.weights) @ self.crosstalk
        blocks = change.reshape(-1, 1, ACROSS, 1, ACROSS, 1) * (CONTRAST / 127.5)
        spread = blocks.expand(-1, 1, ACROSS, BLOCK, ACROSS, BLOCK).reshape(-1, 1, SIZE, SIZE)
        return prepared.photo + spread


def bundle(face: BlockFace, layout: BankLayout = STARTER_LAYOUT) -> Bundle:
    """A bundle of that network, in which every weight's deviation is 1."""
    part = NetworkPart("compact", {}, "face.safetensors")
    statistics = {basis.identifier: Statistic(0.0, 1.0) for basis in layout.bases}
    manifest = BundleManifest("blocks", "Blocks", "1", "CC0-1.0", SIZE, part, layout, statistics=statistics)
    return Bundle(manifest, layout, "0" * 64, Path(), face)
