"""The file of a stage: everything that the next step depends on, and the stage after it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from edtalk_server.training.paper.config import StageConfig, StageName, to_dict
from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

_FORMAT = "edtalk-paper-stage-1"


def path_of(folder: Path, name: StageName) -> Path:
    """Where a stage keeps its state."""
    return folder / f"{name}.pt"


def save(path: Path, state: Mapping[str, Any]) -> None:
    """A reader sees the old file or the new one, never a part; nor does a crash of the machine leave one."""
    with atomic_write.replacing(path, durable=True) as partial:
        torch.save({"format": _FORMAT, **state}, partial)


def load(path: Path) -> dict[str, Any]:
    """Tensors and plain values only; `EDTalkError(BUNDLE_INVALID)` when it is not one of ours."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise _unusable(path, f"it cannot be read ({error})") from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise _unusable(path, "it is not the checkpoint of a stage")
    return state


def plain_config(config: StageConfig) -> dict[str, Any]:
    """The config as `torch.load` gives it back: no enumerations, tuples as lists."""
    values = to_dict(config)
    values["critic"]["kind"] = str(config.critic.kind.value)
    return values


def check_agreement(
    path: Path, stored: Mapping[str, Any], config: StageConfig, continued: bool = False
) -> None:
    """`EDTalkError(BAD_MESSAGE)` when a checkpoint was made with another network than the config has.

    A stage that begins with another's result may take the enhancement away, one that is continued may not.
    """
    then, now = _structure(stored), _structure(plain_config(config))
    if not continued:
        then["ablation"].pop("enhancement")
        now["ablation"].pop("enhancement")
    for name, value in then.items():
        if value != now[name]:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                f"{path} was trained with another {name}: {value} instead of {now[name]}.",
                "Give the config it was started with, or another --out folder.",
            )


def _structure(values: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which tensors there are and what they mean."""
    critic = {name: values["critic"][name] for name in ("width", "depth", "scales")}
    return {"network": values["network"], "ablation": dict(values["ablation"]), "critic": critic}


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Take over all tensors; `EDTalkError(BUNDLE_INVALID)` when they do not fit."""
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise _unusable(path, f"its tensors do not fit ({error})") from error


def _unusable(path: Path, cause: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.BUNDLE_INVALID,
        f"The checkpoint {path} cannot be used: {cause}.",
        "Remove it to begin anew, or name another one.",
    )
