"""Exports a run of the paper's stages as a bundle that the engine loads (docs/bundles.md)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from edtalk_server import bundles
from edtalk_server.bundles.manifest import Statistic
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.enhancement import Enhancement
from edtalk_server.training.datasets.interface import ClipSet
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.paper.config import Ablation, StageName, path_of
from edtalk_server.training.paper.model import PaperModel, silence
from edtalk_server.training.paper.voice_part import voice_part
from shared_protocol.banks import Bank, BankLayout, Basis
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

_LATEST_FIRST = (StageName.EXPRESSION, StageName.MOUTH_POSE, StageName.RECONSTRUCTION)
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


def face_of(folder: Path) -> tuple[EDTalk, StageName]:
    """Return the averaged network of the latest stage in a run's folder, and which stage that is.

    `EDTalkError`: NOT_READY without any checkpoint; UNSUPPORTED for an ablation that is no longer an EDTalk network.
    """
    trained = [name for name in _LATEST_FIRST if path_of(folder, name).is_file()]
    if not trained:
        raise EDTalkError(
            ErrorCode.NOT_READY, f"There is no trained stage in {folder}.", "Train one: `edtalk train stage`."
        )
    path = path_of(folder, trained[0])
    state = checkpoint.load(path)
    ablation = Ablation(**state["config"]["ablation"])
    _check_exportable(ablation)
    model = PaperModel(EDTalkConfig.from_dict(state["config"]["network"]), ablation)
    checkpoint.fill(model, state["average"], path)
    if trained[0] is not StageName.EXPRESSION:
        model = _without_expression(model)
    elif not ablation.enhancement:
        for block in model.network.enhancement.values():
            silence(cast(Enhancement, block), 0.0)
    return model.network.eval().requires_grad_(requires_grad=False), trained[0]


def _check_exportable(ablation: Ablation) -> None:
    if not ablation.bank or not ablation.orthogonal:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "A run without banks or without orthogonality is for comparison only: it is not an EDTalk network.",
            "Export a run whose `ablation` has `bank` and `orthogonal`.",
        )


def _without_expression(model: PaperModel) -> PaperModel:
    """Return the lip-pose model: before the expression stage, expression and enhancement are untrained."""
    config = replace(model.network.config, expression=0)
    if config == model.network.config:
        return model
    smaller = PaperModel(config)
    state = dict(model.state_dict())
    state["network.banks.directions"] = state["network.banks.directions"][:, : config.channels]
    own = smaller.state_dict()
    smaller.load_state_dict({name: state[name] for name in own})
    return smaller


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

    With `voice` the bundle follows speech: it gets that bundle's audio part, mapped to the run's mouth bank
    (`voice_part`).
    """
    network, stage = face_of(folder)
    words = labels or Labels()
    networks: dict[str, nn.Module] = {"face": network}
    audio = None
    if voice is not None:
        part = voice_part(voice, network, data, pictures)
        log.info(
            "the audio part of %s explains %.0f %% of the mouth", voice.manifest.name, 100 * part.explained
        )
        networks["audio_to_lip"] = part.network
        audio = bundles.NetworkPart("audio2lip", part.network.config.to_dict(), "audio_to_lip.safetensors")
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
        audio_to_lip=audio,
        layout=layout,
        statistics=statistics,
    )
    return bundles.save(output, manifest, networks, half=half)


def data_of(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the data that the latest stage of a run was trained on, as its config describes it."""
    for name in _LATEST_FIRST:
        path = path_of(folder, name)
        if path.is_file():
            return tuple(checkpoint.load(path)["config"]["data"])
    return ()
