"""Opens what a run of the paper's stages has trained: the averaged networks of its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.enhancement import Enhancement
from edtalk_server.networks.sync import SyncExpert
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.paper.config import Ablation, StageName, path_of
from edtalk_server.training.paper.model import PaperModel, silence
from shared_protocol.errors import EDTalkError, ErrorCode

_LATEST_FIRST = (StageName.EXPRESSION, StageName.MOUTH_POSE, StageName.RECONSTRUCTION)


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


def data_of(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the data that the latest stage of a run was trained on, as its config describes it."""
    for name in _LATEST_FIRST:
        path = path_of(folder, name)
        if path.is_file():
            return tuple(checkpoint.load(path)["config"]["data"])
    return ()


def audio_of(folder: Path) -> Audio2Lip | None:
    """Return the averaged audio encoder of a run's stage `lips`; None where it was not trained."""
    path = path_of(folder, StageName.LIPS)
    if not path.is_file():
        return None
    return cast(Audio2Lip, _filled(path, lambda config: Audio2Lip.from_config(config["audio"])))


def expert_of(path: Path) -> SyncExpert:
    """Return the averaged sync expert of a checkpoint; `EDTalkError(BUNDLE_INVALID)` when it is no such file."""
    return cast(SyncExpert, _filled(path, lambda config: SyncExpert.from_config(config["sync"])))


def _filled(path: Path, build: Callable[[Mapping[str, Any]], nn.Module]) -> nn.Module:
    state = checkpoint.load(path)
    network = build(state["config"])
    checkpoint.fill(network, state["average"], path)
    return network.eval().requires_grad_(requires_grad=False)
