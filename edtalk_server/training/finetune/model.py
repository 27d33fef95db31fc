"""The losses of fine-tuning for each kind of face network. Only the part that draws is trained: motion encoder and
banks are frozen, so that weights keep their meaning to the last bit."""

from __future__ import annotations

import copy
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.bundles import Bundle
from edtalk_server.networks.compact import CompactNetwork, Drawing
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.training.finetune.data import FilmPairs
from edtalk_server.training.paper.config import Judging, LossWeights
from edtalk_server.training.paper.losses import Reconstruction
from edtalk_server.training.paper.perceptual import Perceptual, open_perceptual_network
from edtalk_server.training.starter import losses
from shared_protocol.errors import EDTalkError, ErrorCode

_FLOW_SHARE = 4.0
"""What moving otherwise than before counts beside drawing otherwise, in `TunableCompact.keep_loss`."""


class TunableModel(Protocol):
    """A network being fine-tuned."""

    @property
    def face(self) -> nn.Module:
        """All of it."""

    @property
    def drawer(self) -> nn.Module:
        """The part of it that is trained."""

    @property
    def rate(self) -> float:
        """The learning rate at its highest."""

    def film_loss(self, pairs: FilmPairs) -> Tensor:
        """Return how far the drawn targets are from the true ones."""

    def keep_loss(self, sources: Tensor, change: Tensor) -> Tensor:
        """Return how much other people [B, 3, S, S] now move differently, under changes of weights [B, channels]."""


def open_model(bundle: Bundle, judging: Judging, device: torch.device) -> TunableModel:
    """Return the bundle's face network, moved to the device; `EDTalkError(UNSUPPORTED)` for a kind that cannot be
    tuned."""
    match bundle.face:
        case CompactNetwork():
            return TunableCompact(bundle.face.to(device))
        case EDTalk():
            return TunableEDTalk(bundle.face.to(device), judging)
        case _:
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                f"Face networks of the kind {bundle.manifest.face.kind!r} cannot be fine-tuned.",
                "Use the starter bundle or imported EDTalk weights.",
            )


def _frozen_copy(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).eval().requires_grad_(requires_grad=False)


class TunableCompact:
    """The decoder of the compact network, taught by the picture losses of `generator_stage` at its detail size. No
    truth about flow is needed: the frozen motion encoder's estimates for both pictures give the change that is drawn.
    The picture at rest stays the photo, by the network's construction."""

    rate = 5e-4

    def __init__(self, face: CompactNetwork) -> None:
        self.face = face.eval().requires_grad_(requires_grad=False)
        self.drawer = face.decoder.requires_grad_(requires_grad=True)
        self._before = _frozen_copy(face)
        self._basis = face.basis().detach()

    def film_loss(self, pairs: FilmPairs) -> Tensor:
        source, target = self._smaller(pairs.source), self._smaller(pairs.target)
        drawing, output = self._drawn(self.face, source, pairs.target_weights - pairs.source_weights)
        look = losses.attention(pairs.landmarks, output.shape[-1], mouth=12.0, eyes=8.0)
        error = output - target
        drawn = (_rgb(drawing) - target).abs() * look
        picture = losses.picture_loss(error, look) + 0.7 * losses.edge_loss(error, look)
        return picture + 0.15 * drawn.mean()

    def keep_loss(self, sources: Tensor, change: Tensor) -> Tensor:
        sources = self._smaller(sources)
        with torch.no_grad():
            before, picture = self._drawn(self._before, sources, change)
        drawing, output = self._drawn(self.face, sources, change)
        pairs = list(zip(drawing.levels, before.levels, strict=True))
        flow = torch.stack([(now.flow - then.flow).abs().mean() for now, then in pairs]).sum()
        mask = (drawing.levels[-1].mask_logits.sigmoid() - before.levels[-1].mask_logits.sigmoid()).abs()
        drawn = (_rgb(drawing) - _rgb(before)).abs().mean()
        return 3 * (output - picture).abs().mean() + _FLOW_SHARE * flow + 0.3 * mask.mean() + 0.15 * drawn

    def _smaller(self, pictures: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(pictures, self.face.config.detail_size)

    def _drawn(self, network: nn.Module, source: Tensor, change: Tensor) -> tuple[Drawing, Tensor]:
        drawing = network.draw(network.encode(source), self._basis, change)  # type: ignore[operator]
        return drawing, CompactNetwork.compose(source, drawing)


def _rgb(drawing: Drawing) -> Tensor:
    if drawing.rgb is None:
        raise ValueError("only a full drawing has a picture")
    return drawing.rgb


class TunableEDTalk:
    """The generator of the paper's network (also with official weights), taught by L_rec and L_per. Encoder, heads,
    banks and enhancement are frozen: the encoder also estimates the weights."""

    rate = 5e-4

    def __init__(self, face: EDTalk, judging: Judging) -> None:
        self.face = face.eval().requires_grad_(requires_grad=False)
        self.drawer = face.generator.requires_grad_(requires_grad=True)
        self._network = face
        self._before = _frozen_copy(face)
        self._reconstruction, self._factors = Reconstruction(), LossWeights()
        device = next(face.parameters()).device
        self._perceptual = Perceptual(open_perceptual_network(judging), judging.scales).to(device)

    def film_loss(self, pairs: FilmPairs) -> Tensor:
        drawn = self._drawn(self._network, pairs.source, pairs.target_weights)
        rec, per = self._reconstruction(drawn, pairs.target), self._perceptual(drawn, pairs.target)
        return self._factors.reconstruction * rec + self._factors.perceptual * per

    def keep_loss(self, sources: Tensor, change: Tensor) -> Tensor:
        with torch.no_grad():
            weights = self._network.weights_of(sources) + change
            before = self._drawn(self._before, sources, weights)
        drawn = self._drawn(self._network, sources, weights)
        rec, per = self._reconstruction(drawn, before), self._perceptual(drawn, before)
        return self._factors.reconstruction * rec + self._factors.perceptual * per

    @staticmethod
    def _drawn(network: nn.Module, source: Tensor, weights: Tensor) -> Tensor:
        with torch.no_grad():
            encoded = network.encode(source)  # type: ignore[operator]
        return network.generate(encoded, weights)  # type: ignore[operator, no-any-return]
