"""Checkpoint files: everything that the next step depends on. Only tensors and plain values; nothing executable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from edtalk_server.bundles import foreign_files
from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

_REQUIRED = {"progress", "network"}


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint. A reader sees the old file or the new one, never a part, even after a crash of the
    machine."""
    with atomic_write.replacing(path, durable=True) as partial:
        torch.save(dict(state), partial)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; `EDTalkError(BUNDLE_INVALID)` when the file is not one."""
    try:
        state = foreign_files.load_weights(path)
    except (OSError, ValueError, UnpicklingError) as error:
        raise _unusable(path, f"it cannot be read ({error})") from error
    if not isinstance(state, dict) or not state.keys() >= _REQUIRED:
        raise _unusable(path, "it is not a checkpoint of this version")
    return state


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load the tensors of a checkpoint into a module; `EDTalkError(BUNDLE_INVALID)` when they do not fit."""
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise _unusable(path, f"its tensors do not fit ({error})") from error


def is_finite(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether all numbers are finite."""
    return all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point())


def _unusable(path: Path, cause: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.BUNDLE_INVALID,
        f"The checkpoint {path} cannot be used: {cause}.",
        "Remove it to start over, or name another one.",
    )
