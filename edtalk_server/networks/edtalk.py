"""EDTalk (Tan et al., ECCV 2024): a source image and three banks of weights make a frame.

    w = h_s + Q a,    image = G(w, EEM(F_s, e)),    e = Q_exp a_exp
    (Eq. 1; the enhancement EEM: section 3.2)

Without expression bank (`config.expression` = 0) this is the release's lip-pose model. These are the equations as
they stand, for training and as the reference; `fast.FastEDTalk` computes the same frames with less work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from edtalk_server.networks.banks import Banks
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.encoder import Encoder, Heads
from edtalk_server.networks.enhancement import Enhancement
from edtalk_server.networks.generator import Enhance, Generator, Recorder, keep_feature, record_nothing
from edtalk_server.networks.interface import Encoding, check_source


class EncodedSource(NamedTuple):
    """One encoded source: its encoding (batch 1) and its own weights [1, channels]."""

    encoding: Encoding
    weights: Tensor


class EDTalk(nn.Module):
    """The face network of the paper; `interface.FaceNetwork` documents its methods."""

    def __init__(self, config: EDTalkConfig | None = None) -> None:
        super().__init__()
        self.config = config or EDTalkConfig()
        self.size = self.config.size
        self.bank_sizes = self.config.bank_sizes
        self.encoder = Encoder(self.config)
        self.heads = Heads(self.config)
        self.banks = Banks(self.config)
        self.generator = Generator(self.config)
        self.enhancement = nn.ModuleDict(
            {str(n): _enhancement(self.config, n) for n in self.config.levels if self.config.expression}
        )

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> EDTalk:
        """Build the untrained network of a bundle's config. Raises `ValueError` that names a wrong field."""
        return cls(EDTalkConfig.from_dict(values))

    def forward(self, sources: Tensor, weights: Tensor) -> Tensor:
        """Return frames [B, 3, size, size] of B sources under B rows of weights (Eq. 1)."""
        return self.generate(self.encode(sources), weights)

    def encode(self, images: Tensor) -> Encoding:
        """Return latent and features of pictures [B, 3, size, size]."""
        return self.encoder(images)  # type: ignore[no-any-return]

    def weights_of(self, images: Tensor) -> Tensor:
        """Estimate the weights [B, channels] of the faces in pictures [B, 3, size, size]."""
        return self.heads(self.encode(images).latent)  # type: ignore[no-any-return]

    def generate(self, source: Encoding, weights: Tensor, record: Recorder = record_nothing) -> Tensor:
        """Return the frames of B encoded sources under weights [B, channels]; not clamped."""
        q = self.banks.orthonormal()
        style = source.latent + weights @ q.T
        record("latent", style)
        start = self.banks.expression_start
        expression = weights[:, start:] @ q[:, start:].T
        return self.generator(style, source.features, self._enhance(expression), record)

    def prepare(self, images: Tensor) -> EncodedSource:
        """Encode one source picture [1, 3, size, size]. Raises `ValueError` for another shape."""
        check_source(images, self.size)
        encoding = self.encode(images)
        return EncodedSource(encoding, self.heads(encoding.latent))

    def decode(self, prepared: EncodedSource, weights: Tensor) -> Tensor:
        """Return frames [B, 3, size, size] of one encoded source under weights [B, channels]; not clamped."""
        latent, features = prepared.encoding
        shared = {size: feature.expand(len(weights), -1, -1, -1) for size, feature in features.items()}
        return self.generate(Encoding(latent, shared), weights)

    def _enhance(self, expression: Tensor) -> Enhance:
        if not self.enhancement:
            return keep_feature
        return lambda size, feature: self.enhancement[str(size)](feature, expression)


def _enhancement(config: EDTalkConfig, size: int) -> Enhancement:
    return Enhancement(config.width(size), config.style_dim, config.enhancement_hidden)
