"""Import of the published checkpoints as a bundle.

The files are pickles. They are opened with `weights_only=True`, which runs no code in them; besides tensors and plain
containers only `argparse.Namespace` is allowed, because the training programs of the release save their options.
"""

from __future__ import annotations

import argparse
import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edtalk_server.bundles import foreign_files
from edtalk_server.bundles.load import load_exactly
from edtalk_server.bundles.manifest import BundleManifest, NetworkPart, invalid
from edtalk_server.bundles.official_names import OfficialTensor, audio_tensors, face_tensors
from edtalk_server.bundles.official_presets import PRESETS
from edtalk_server.bundles.save import save
from edtalk_server.media.steps import Step, Steps, run_to_end
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig, EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from shared_protocol.banks import Bank, BankLayout, numbered_layout
from shared_protocol.errors import EDTalkError, ErrorCode

logger = logging.getLogger(__name__)

FACE = EDTalkConfig()
LIP_POSE = EDTalkConfig(expression=0)
AUDIO = Audio2LipConfig()

_FIX = "Download the file again from the release; nothing may be changed in it."
_ONLY_EXPRESSION = ("dec.fineadainresblock.", "direction_exp.", "exp_fc.")


class ForeignFileError(EDTalkError):
    """A readable file without a model of the release."""


@dataclass(frozen=True)
class Imported:
    """One checkpoint as a network of ours: its kind, config and the filled network."""

    kind: str
    config: dict[str, Any]
    network: nn.Module


def import_checkpoints(files: Sequence[str | Path], folder: str | Path) -> BundleManifest:
    """Read official files (each recognised by its content) and write the bundle `folder`.

    Raises `EDTalkError(BUNDLE_INVALID)` naming the file and the tensor that is missing, surplus or misshapen.
    """
    return save(folder, *run_to_end(read_checkpoints([Path(file) for file in files])))


def read_checkpoints(
    files: Sequence[Path], skip_foreign: bool = False
) -> Steps[tuple[BundleManifest, dict[str, nn.Module]]]:
    """Read checkpoints one by one; return the manifest and the networks by role, for `save`.

    `skip_foreign` leaves out files without a model of the release.
    """
    by_kind: dict[str, Imported] = {}
    for done, file in enumerate(files):
        yield Step(done, len(files), f"reading {file.name}")
        try:
            imported = read_checkpoint(file)
        except ForeignFileError as error:
            if not skip_foreign:
                raise
            logger.info("%s", error.cause)
            continue
        if imported.kind in by_kind:
            raise invalid(f"{file.name} holds the same model as a file before it.", "Give each file once.")
        by_kind[imported.kind] = imported
    parts = _assign_roles(by_kind)
    return _manifest(parts), {role: part.network for role, part in parts.items()}


def read_checkpoint(path: Path) -> Imported:
    """Read one official file as a network of ours, in evaluation mode."""
    content = _open(path)
    if isinstance(content.get("audio2lip"), Mapping):
        tensors = convert(content["audio2lip"], audio_tensors(AUDIO), path.name)
        return _filled("audio2lip", AUDIO.to_dict(), Audio2Lip(AUDIO), tensors, path.name)
    if isinstance(content.get("gen"), Mapping):
        stored = content["gen"]
        expressive = any(str(name).startswith(_ONLY_EXPRESSION) for name in stored)
        config, kind = (FACE, "edtalk") if expressive else (LIP_POSE, "edtalk_lip_pose")
        tensors = convert(stored, face_tensors(config), path.name)
        return _filled(kind, config.to_dict(), EDTalk(config), tensors, path.name)
    raise _foreign(path, "it has neither 'gen' nor 'audio2lip'")


def convert(stored: Mapping[str, Any], expected: Sequence[OfficialTensor], origin: str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint under our names, after checking that they are exactly the expected ones."""
    names = {item.name for item in expected}
    surplus = [name for name in stored if name not in names]
    if surplus:
        raise invalid(f"{origin}: the tensor {surplus[0]} does not belong to this model.", _FIX)
    converted: dict[str, Tensor] = {}
    pieces: dict[str, list[Tensor]] = {}
    for item in expected:
        tensor = _checked(stored, item, origin)
        if item.column >= 0:
            pieces.setdefault(item.target, []).append(tensor)
        elif item.target:
            leading = tensor.ndim == 5  # modulated weights are stored with an empty first axis
            converted[item.target] = tensor[0] if leading else tensor
    return converted | {target: torch.cat(columns, dim=1) for target, columns in pieces.items()}


def _checked(stored: Mapping[str, Any], expected: OfficialTensor, origin: str) -> Tensor:
    tensor = stored.get(expected.name)
    if not isinstance(tensor, Tensor):
        raise invalid(f"{origin}: the tensor {expected.name} is missing.", _FIX)
    if tuple(tensor.shape) != expected.shape:
        shapes = f"{list(tensor.shape)} instead of {list(expected.shape)}"
        raise invalid(f"{origin}: the tensor {expected.name} has the shape {shapes}.", _FIX)
    if tensor.is_floating_point() == expected.integer:
        raise invalid(f"{origin}: the tensor {expected.name} has the type {tensor.dtype}.", _FIX)
    if tensor.layout is not torch.strided:
        raise invalid(f"{origin}: the tensor {expected.name} is stored as {tensor.layout}.", _FIX)
    tensor = tensor.detach() if expected.integer else tensor.detach().to(torch.float32)
    if not bool(torch.isfinite(tensor).all()):
        raise invalid(f"{origin}: the tensor {expected.name} has values that are not finite.", _FIX)
    if expected.constant is not None and not torch.allclose(tensor, expected.constant, atol=1e-6):
        raise invalid(f"{origin}: the blur kernel {expected.name} is not the filter of the release.", _FIX)
    return tensor


def _filled(
    kind: str, config: dict[str, Any], network: nn.Module, tensors: dict[str, Tensor], origin: str
) -> Imported:
    load_exactly(network, tensors, origin)
    return Imported(kind, config, network.eval().requires_grad_(False))


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Return the tensors of somebody's checkpoint of plain weights. Raises `EDTalkError(BUNDLE_INVALID)`."""
    content = _open(path)
    return {
        str(name): value.detach().clone().contiguous()
        for name, value in content.items()
        if isinstance(value, Tensor)
    }


def _open(path: Path) -> Mapping[str, Any]:
    try:
        content = foreign_files.load_weights(path, [argparse.Namespace], in_place=True)
    except FileNotFoundError as error:
        raise invalid(f"There is no file {path}.", "Check the path.") from error
    except pickle.UnpicklingError as error:
        raise invalid(f"{path.name} was not opened: {_refused(error)}.", _FIX) from error
    except OSError as error:
        raise invalid(f"{path.name} cannot be read ({error.strerror}).", "Check the path.") from error
    except ValueError as error:
        raise invalid(f"{path.name} is not a checkpoint, or it is damaged.", _FIX) from error
    if not isinstance(content, Mapping):
        raise _foreign(path, "it is no dictionary")
    return content


def _foreign(path: Path, why: str) -> ForeignFileError:
    return ForeignFileError(
        ErrorCode.BUNDLE_INVALID, f"{path.name} is not an EDTalk checkpoint: {why}.", _FIX
    )


def _refused(error: pickle.UnpicklingError) -> str:
    """Return why a file was refused. Torch's own message also tells how to open it anyway; nobody should."""
    foreign = re.search(r"(?:GLOBAL|global:?) ([\w.]+)", str(error))
    return f"it holds more than weights ({foreign[1]})" if foreign else "it is not a checkpoint of weights"


def _assign_roles(by_kind: Mapping[str, Imported]) -> dict[str, Imported]:
    if "edtalk" in by_kind:
        roles = {"face": "edtalk", "lip_pose": "edtalk_lip_pose", "audio_to_lip": "audio2lip"}
    elif "edtalk_lip_pose" in by_kind:
        roles = {"face": "edtalk_lip_pose", "audio_to_lip": "audio2lip"}
    else:
        raise EDTalkError(
            ErrorCode.BUNDLE_INVALID,
            "None of the files holds a face network.",
            "Give EDTalk.pt or EDTalk_lip_pose.pt.",
        )
    return {role: by_kind[kind] for role, kind in roles.items() if kind in by_kind}


def _manifest(parts: Mapping[str, Imported]) -> BundleManifest:
    expressive = parts["face"].kind == "edtalk"
    layout = numbered_layout() if expressive else numbered_layout(expression=0)
    manifest = BundleManifest(
        name="edtalk-official" if expressive else "edtalk-official-lip-pose",
        title="EDTalk (official weights)" if expressive else "EDTalk lip-pose (official weights)",
        version="1.0.0",
        licence="Apache-2.0",
        description="Converted from the checkpoints published with EDTalk (Tan et al., ECCV 2024). The terms of the "
        "release apply to these weights.",
        size=FACE.size,
        face=_part("face", parts["face"]),
        layout=layout,
        presets=_presets(layout) if expressive else {},
    )
    others = {role: _part(role, part) for role, part in parts.items() if role != "face"}
    return replace(manifest, **others)  # type: ignore[arg-type]


def _part(role: str, imported: Imported) -> NetworkPart:
    return NetworkPart(imported.kind, imported.config, f"{role}.safetensors")


def _presets(layout: BankLayout) -> dict[str, dict[str, float]]:
    bases = layout.bases[layout.slice_of(Bank.EXPRESSION)]
    return {
        name: {basis.identifier: value for basis, value in zip(bases, values, strict=True)}
        for name, values in PRESETS.items()
    }
