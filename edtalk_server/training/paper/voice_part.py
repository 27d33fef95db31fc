"""The audio part of an exported run: another bundle's, whose mouth weights are turned into the run's by a linear map.

The paper's stages learn a mouth bank whose weights have no names, so no finished audio network fits them. But weights
are linear: what maps the other bundle's mouth weights to the run's, fitted on pictures, is folded into the audio
network's last layer. Training the audio network on the run's own bank (section 3.3) follows speech better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edtalk_server.bundles import Bundle
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.synthetic.controls import MOUTH, STARTER_LAYOUT
from edtalk_server.training.datasets.interface import ClipSet, resized
from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError, ErrorCode

_BATCH = 16
"""Pictures that are looked at together."""
_RIDGE = 1e-3
"""Keeps weights that hardly vary from being explained by noise, in parts of the mean variance."""


class MouthMap(NamedTuple):
    """own = natural · matrix + offset: `matrix` [natural, own], `offset` [own]; `explained` is the share of the
    variance of the own weights that it explains (R²)."""

    matrix: Tensor
    offset: Tensor
    explained: float


@dataclass(frozen=True)
class VoicePart:
    """An audio network that speaks the run's mouth bank, and how well its map fits."""

    network: Audio2Lip
    explained: float


def voice_part(voice: Bundle, network: EDTalk, data: ClipSet, pictures: int, seed: int = 0) -> VoicePart:
    """Return the audio network of `voice` with its last layer mapped to the mouth bank of `network`, fitted on
    `pictures` pictures of `data`.

    Raises `EDTalkError(UNSUPPORTED)` when `voice` has no audio part of this kind.
    """
    spoken = voice.audio_to_lip
    if not isinstance(spoken, Audio2Lip):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The bundle {voice.manifest.name} has no audio part that could be mapped.",
            "Name a bundle that follows a voice, such as the starter, or export without one: --voice none.",
        )
    fitted = fit(*_mouths(voice, network, data, pictures, seed))
    return VoicePart(mapped(spoken, fitted), fitted.explained)


def mapped(spoken: Audio2Lip, mouth_map: MouthMap) -> Audio2Lip:
    """Return a copy of an audio network whose output went through the map."""
    result = Audio2Lip(replace(spoken.config, outputs=len(mouth_map.offset)))
    state = dict(spoken.state_dict())
    state["mapping.weight"] = mouth_map.matrix.T @ state["mapping.weight"]
    state["mapping.bias"] = state["mapping.bias"] @ mouth_map.matrix + mouth_map.offset
    result.load_state_dict(state)
    return result.eval().requires_grad_(requires_grad=False)


def fit(natural: Tensor, own: Tensor) -> MouthMap:
    """Fit the map from rows [N, natural] to rows [N, own] by ridge regression."""
    x, y = natural.double(), own.double()
    means = x.mean(0), y.mean(0)
    x, y = x - means[0], y - means[1]
    covariance = x.T @ x
    ridge = _RIDGE * covariance.diagonal().mean().clamp(min=1e-12) * torch.eye(len(covariance), dtype=x.dtype)
    matrix = torch.linalg.solve(covariance + ridge, x.T @ y)
    left = (y - x @ matrix).square().sum() / y.square().sum().clamp(min=1e-12)
    return MouthMap(matrix.float(), (means[1] - means[0] @ matrix).float(), float(1 - left))


@torch.no_grad()
def _mouths(voice: Bundle, network: EDTalk, data: ClipSet, pictures: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the same pictures' mouth weights in the units of `voice` and of `network`: the truth where it is known and
    `voice` speaks it, else what the motion encoder of `voice` estimates."""
    rng = np.random.default_rng(seed)
    part = voice.layout.slice_of(Bank.MOUTH)
    named = (
        voice.layout.bases[part] == STARTER_LAYOUT.bases[MOUTH]
    )  # the controls that rendered truth is about
    natural, own = [], []
    for _ in range(-(-pictures // _BATCH)):
        batch = data.clips(rng, _BATCH, 1)
        frames = batch.frames[:, 0]
        own.append(network.weights_of(frames)[:, : network.config.mouth])
        if batch.weights is not None and named:
            natural.append(batch.weights[:, 0, MOUTH])
        else:
            natural.append(voice.face.weights_of(resized(frames, voice.manifest.size))[:, part])
    return torch.cat(natural), torch.cat(own)
