"""Tensors of the user's weight files: PyTorch state dictionaries or safetensors, read without running code in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import safetensors
from safetensors.torch import load_file
from torch import Tensor, nn

from edtalk_server.bundles import foreign_files
from shared_protocol.errors import EDTalkError, ErrorCode


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a file by name. Raises `EDTalkError(BUNDLE_INVALID)` when it cannot be read as such."""
    try:
        if path.suffix == ".safetensors":
            foreign_files.check(path)
            tensors = load_file(path)
        else:
            tensors = foreign_files.load_weights(path)
    except (OSError, ValueError, UnpicklingError, safetensors.SafetensorError) as error:
        raise _unusable(path, str(error).splitlines()[0]) from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise _unusable(path, "it is not a dictionary of tensors")
    return tensors


def fill(network: nn.Module, tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Load the tensors of a file into a network. Raises `EDTalkError(BUNDLE_INVALID)` that names what does not fit."""
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise EDTalkError(
            ErrorCode.BUNDLE_INVALID,
            f"{origin.name} holds other tensors than expected: {lines[1].strip() if len(lines) > 1 else lines[0]}",
            "See docs/evaluation.md for the expected file.",
        ) from error


def _unusable(path: Path, why: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.BUNDLE_INVALID,
        f"The weights {path.name} cannot be used: {why}.",
        "See docs/evaluation.md for the expected file.",
    )
