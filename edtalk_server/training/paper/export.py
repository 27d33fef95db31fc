"""Exports a run of the paper's stages as a bundle that the engine loads (docs/bundles.md)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edtalk_server import bundles
from edtalk_server.bundles.manifest import Statistic
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.training.datasets.interface import ClipSet
from edtalk_server.training.paper.trained import audio_of, face_of
from edtalk_server.training.paper.voice_part import voice_part
from shared_protocol.banks import Bank, BankLayout, Basis

log = logging.getLogger(__name__)

_BATCH = 16
"""Pictures whose weights are estimated at a time."""
_LOW, _HIGH = 1, 99  # percentiles that become a slider's range


@dataclass(frozen=True)
class Labels:
    """The texts of the bundle's manifest."""

    name: str = "paper"
    title: str = "EDTalk, trained here"
    version: str = "0.1.0"
    licence: str = "LicenseRef-own"
    description: str = "Trained with the paper's stages (docs/training_paper.md)."


@torch.no_grad()
def estimate_weights(network: EDTalk, data: ClipSet, pictures: int, seed: int = 0) -> np.ndarray:
    """Return the weights [pictures, channels] of pictures of `data`."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(-(-pictures // _BATCH)):
        rows.append(network.weights_of(data.clips(rng, _BATCH, 1).frames[:, 0]).numpy())
    return np.concatenate(rows)[:pictures]


def layout_of(config: EDTalkConfig, weights: np.ndarray) -> tuple[BankLayout, dict[str, Statistic]]:
    """Return numbered bases with the ranges and statistics of `weights` [N, channels]."""
    low, high = np.percentile(weights, [_LOW, _HIGH], axis=0)
    names = [(bank, i + 1) for bank, n in zip(Bank, config.bank_sizes, strict=True) for i in range(n)]
    bases = tuple(
        Basis(f"{bank.value}_{i:02d}", f"{bank.value.capitalize()} {i}", bank, _rounded(a), _rounded(b, a))
        for (bank, i), a, b in zip(names, low, high, strict=True)
    )
    moments = zip(bases, weights.mean(0), weights.std(0), strict=True)
    statistics = {b.identifier: Statistic(round(float(m), 4), round(float(d), 4)) for b, m, d in moments}
    return BankLayout(bases), statistics


def _rounded(value: float, above: float | None = None) -> float:
    """Round to four decimals; a range is never empty."""
    result = round(float(value), 4)
    return result if above is None else max(result, round(float(above) + 0.01, 4))


def export(
    folder: Path,
    data: ClipSet,
    output: Path,
    labels: Labels | None = None,
    pictures: int = 512,
    half: bool = True,
    voice: bundles.Bundle | None = None,
) -> bundles.BundleManifest:
    """Write the bundle of a run; ranges and statistics are measured on `pictures` pictures of `data`.

    The bundle follows speech with the lips of the run's stage `lips`. Without such a stage it borrows the audio part of
    the bundle `voice`, mapped to the run's mouth bank (`voice_part`); without either it does not follow a voice.
    """
    network, stage = face_of(folder)
    words = labels or Labels()
    networks: dict[str, nn.Module] = {"face": network}
    audio = audio_of(folder) or _borrowed(voice, network, data, pictures)
    if audio is not None:
        networks["audio_to_lip"] = audio
    layout, statistics = layout_of(network.config, estimate_weights(network, data, pictures))
    kind = "edtalk" if network.config.expression else "edtalk_lip_pose"
    log.info("the face network of stage %s goes into %s", stage, output)
    manifest = bundles.BundleManifest(
        name=words.name,
        title=words.title,
        version=words.version,
        licence=words.licence,
        description=words.description,
        size=network.size,
        face=bundles.NetworkPart(kind, network.config.to_dict(), "face.safetensors"),
        audio_to_lip=_audio_part(audio),
        layout=layout,
        statistics=statistics,
    )
    return bundles.save(output, manifest, networks, half=half)


def _borrowed(
    voice: bundles.Bundle | None, network: EDTalk, data: ClipSet, pictures: int
) -> Audio2Lip | None:
    if voice is None:
        return None
    part = voice_part(voice, network, data, pictures)
    log.info("the audio part of %s explains %.0f %% of the mouth", voice.manifest.name, 100 * part.explained)
    return part.network


def _audio_part(audio: Audio2Lip | None) -> bundles.NetworkPart | None:
    if audio is None:
        return None
    return bundles.NetworkPart("audio2lip", audio.config.to_dict(), "audio_to_lip.safetensors")
