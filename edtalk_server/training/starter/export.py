"""Exports a training run as a bundle (docs/bundles.md): averaged tensors in float16, and its model card."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from edtalk_server import bundles
from edtalk_server.bundles import kinds
from edtalk_server.bundles.load import load_exactly
from edtalk_server.bundles.manifest import ROLES
from edtalk_server.networks.compact import CompactNetwork
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from edtalk_server.synthetic.data.statistics import of_shards
from edtalk_server.synthetic.presets import PRESETS
from edtalk_server.training.loop import checkpoint
from shared_protocol.errors import EDTalkError, ErrorCode

VERSION = "0.2.0"
DESCRIPTION = (
    "Trained on rendered faces of nobody, so that the first run shows a face that talks. "
    "Official EDTalk weights draw better faces; see README.md in this folder for what this one can and cannot."
)


@dataclass(frozen=True)
class Inputs:
    """The contents of a bundle: the run's folder, folders of other networks (`audio_to_lip.safetensors` and `.json`, as
    training writes them; later folders win), the shards whose statistics are noted, and further files (model card,
    licence)."""

    checkpoints: Path
    parts: tuple[Path, ...] = ()
    data: Path | None = None
    beside: tuple[Path, ...] = ()


def export(inputs: Inputs, folder: Path) -> bundles.BundleManifest:
    """Write the bundle; `EDTalkError(NOT_READY)` names a missing checkpoint.

    `evaluation.meaning.describe` measures how well each weight is estimated and drawn.
    """
    face = face_network(inputs.checkpoints)
    networks: dict[str, nn.Module] = {"face": face}
    manifest = bundles.BundleManifest(
        name="starter",
        title="EDTalk starter",
        version=VERSION,
        licence="CC0-1.0",
        description=DESCRIPTION,
        size=face.config.size,
        face=bundles.NetworkPart("compact", face.config.to_dict(), "face.safetensors"),
        layout=STARTER_LAYOUT,
        presets=PRESETS,
        statistics=of_shards(inputs.data, STARTER_LAYOUT) if inputs.data else {},
    )
    for role, place in _found_parts(inputs.parts).items():
        part, networks[role] = _read_part(role, place)
        manifest = _with_part(manifest, role, part)
    beside = {path.name: path.read_bytes() for path in inputs.beside}
    return bundles.save(folder, manifest, networks, half=True, extra_files=beside)


def face_network(checkpoints: Path) -> CompactNetwork:
    """Return the averaged networks of all stages in one. The fitted motion encoder, where there is one, replaces the
    motion stage's."""
    stages = ["generator", "motion"] + (["fit"] if (checkpoints / "fit.pt").is_file() else [])
    states = [_checkpoint(checkpoints / f"{stage}.pt") for stage in stages]
    network = CompactNetwork.from_config(states[0]["config"])
    tensors = {name: tensor for state in states for name, tensor in state["average"].items()}
    load_exactly(network, tensors, str(checkpoints))
    return network.eval().requires_grad_(requires_grad=False)


def _checkpoint(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"There is no checkpoint {path}.",
            "Train that stage first: `edtalk train run`.",
        )
    return checkpoint.load(path)


def _found_parts(folders: tuple[Path, ...]) -> dict[str, Path]:
    """Return the folder of each network beside the face."""
    return {
        role: folder
        for folder in folders
        for role in ROLES
        if role != "face" and (folder / f"{role}.json").is_file()
    }


def _with_part(
    manifest: bundles.BundleManifest, role: str, part: bundles.NetworkPart
) -> bundles.BundleManifest:
    changes: dict[str, Any] = {role: part}
    return replace(manifest, **changes)


def _read_part(role: str, folder: Path) -> tuple[bundles.NetworkPart, nn.Module]:
    """Return the result of a training: the part as the manifest has it, and its network."""
    values = json.loads((folder / f"{role}.json").read_text(encoding="utf-8"))
    part = bundles.NetworkPart(values["kind"], values["config"], values["file"])
    network = kinds.build(role, part)
    load_exactly(network, load_file(folder / part.file), part.file)
    return part, network.eval()
