"""Tensors of files that the user has got: PyTorch state dictionaries or safetensors, read without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from shared_protocol.errors import EDTalkError, ErrorCode


def tensors_of(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by name. `EDTalkError(BUNDLE_INVALID)` when it cannot be read as such."""
    try:
        found = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, RuntimeError, EOFError, UnpicklingError, safetensors.SafetensorError) as error:
        raise _unusable(path, str(error).splitlines()[0]) from error
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise _unusable(path, "it is no dictionary of tensors")
    return found


def fill(network: nn.Module, tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Put the tensors of a file into a network. `EDTalkError(BUNDLE_INVALID)` names what does not fit."""
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        said = str(error).splitlines()
        raise EDTalkError(
            ErrorCode.BUNDLE_INVALID,
            f"{origin.name} holds other tensors than expected: {said[1].strip() if len(said) > 1 else said[0]}",
            "See docs/evaluation.md for the file that is meant.",
        ) from error


def _unusable(path: Path, why: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.BUNDLE_INVALID,
        f"The weights {path.name} cannot be used: {why}.",
        "See docs/evaluation.md for the file that is meant.",
    )
