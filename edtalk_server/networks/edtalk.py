"""EDTalk (Tan et al., ECCV 2024): a source image and three banks of weights make a frame.

    w = h_s + Q a,    image = G(w, EEM(F_s, e)),    e = Q_exp a_exp
    (Eq. 1, 5)

Without expression bank (`config.expression` = 0) this is the release's lip-pose model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from edtalk_server.networks.banks import Banks
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.encoder import Encoder, Heads
from edtalk_server.networks.enhancement import Enhancement
from edtalk_server.networks.fast import Constants, Prepared, decode, fold, prepare
from edtalk_server.networks.generator import Enhance, Generator, Recorder, keep_feature, record_nothing
from edtalk_server.networks.interface import Encoding


class EDTalk(nn.Module):
    """The face network of the paper; see `interface.FaceNetwork` for `encode`, `weights_of`, `prepare`,
    `decode`.

    `forward` and `generate` are the equations as they stand, for training and as the reference; `prepare` and
    `decode` compute the same function with the shortcuts of `shortcuts`, for one source and many frames.
    """

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
        self._constants: tuple[object, Constants] | None = None

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> EDTalk:
        """The untrained network of a bundle's config; `ValueError` says what is wrong with it."""
        return cls(EDTalkConfig.from_dict(values))

    # --- the equations ---

    def forward(self, sources: Tensor, weights: Tensor) -> Tensor:
        """Eq. 1: frames [B, 3, size, size] of B sources under B rows of weights."""
        return self.generate(self.encode(sources), weights)

    def generate(self, source: Encoding, weights: Tensor, record: Recorder = record_nothing) -> Tensor:
        """The frame of an encoded source [B] under weights [B, channels]."""
        q = self.banks.orthonormal()
        style = source.latent + weights @ q.T
        record("latent", style)
        start = self.banks.expression_start
        expression = weights[:, start:] @ q[:, start:].T
        return self.generator(style, source.features, self._enhance(expression), record)

    def encode(self, images: Tensor) -> Encoding:
        return self.encoder(images)  # type: ignore[no-any-return]

    def weights_of(self, images: Tensor) -> Tensor:
        return self.heads(self.encode(images).latent)  # type: ignore[no-any-return]

    def _enhance(self, expression: Tensor) -> Enhance:
        if not self.enhancement:
            return keep_feature
        return lambda size, feature: self.enhancement[str(size)](feature, expression)

    # --- one source, many frames ---

    def prepare(self, images: Tensor) -> Prepared:
        return prepare(self, self.constants(), images)

    def decode(self, prepared: Prepared, weights: Tensor) -> Tensor:
        return decode(prepared, weights)

    def _apply(self, *args: Any, **options: Any) -> EDTalk:
        self._constants = None  # on a move to another device they must not keep the old one's memory
        return super()._apply(*args, **options)

    def constants(self) -> Constants:
        """What depends on the parameters alone; kept until they change (training, loading, another device)."""
        state = tuple((p.device, p.data_ptr(), _version(p)) for p in self.parameters())
        if self._constants is None or self._constants[0] != state:
            self._constants = state, fold(self)
        return self._constants[1]


def _enhancement(config: EDTalkConfig, size: int) -> Enhancement:
    return Enhancement(config.width(size), config.style_dim, config.enhancement_hidden)


def _version(parameter: Tensor) -> int:
    return 0 if parameter.is_inference() else parameter._version
