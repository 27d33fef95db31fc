"""The network class of each kind of part, imported only when such a part is built."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edtalk_server.bundles.manifest import NetworkPart, invalid

if TYPE_CHECKING:
    from torch import nn

_NETWORKS = {
    ("face", "edtalk"): "edtalk_server.networks.edtalk:EDTalk",
    ("face", "edtalk_lip_pose"): "edtalk_server.networks.edtalk:EDTalk",
    ("lip_pose", "edtalk_lip_pose"): "edtalk_server.networks.edtalk:EDTalk",
    ("face", "compact"): "edtalk_server.networks.compact:CompactNetwork",
    ("audio_to_lip", "audio2lip"): "edtalk_server.networks.audio2lip:Audio2Lip",
    ("sync", "sync_expert"): "edtalk_server.networks.sync:SyncExpert",
    ("semantics", "prosody_text"): "edtalk_server.networks.voice.semantics:ProsodyText",
    ("semantics", "hubert_roberta"): "edtalk_server.networks.voice.hubert_roberta:HubertRoberta",
    ("audio_to_pose", "pose_flow"): "edtalk_server.networks.voice.pose_flow:PoseFlow",
}


_LARGEST = 2**20
"""No size, count or factor of a network comes near."""
_LONGEST = 1024
_BAD_CONFIG = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What absurd values raise in the constructors of networks."""


def build(role: str, part: NetworkPart, most_bytes: int | None = None) -> nn.Module:
    """Build the untrained network of a part. Raises `EDTalkError(BUNDLE_INVALID)` for an unknown kind or a bad config,
    also for one whose tensors would have more than `most_bytes`: they are not made then."""
    target = _NETWORKS.get((role, part.kind))
    if target is None:
        known = ", ".join(kind for its_role, kind in _NETWORKS if its_role == role) or "none"
        raise invalid(
            f"{role} has the unknown kind {part.kind!r} (known: {known}).",
            "Update the program, or use a bundle made for it.",
        )
    module, _, name = target.partition(":")
    network_class = getattr(importlib.import_module(module), name)
    try:
        _check_numbers(part.config)
        if most_bytes is not None:
            _check_size(network_class, part.config, most_bytes)
        network: nn.Module = network_class.from_config(part.config)
    except _BAD_CONFIG as error:
        raise invalid(f"The config of {role} cannot be used: {str(error)[:300]}.") from error
    return network


def _check_numbers(value: Any) -> None:
    """Raise `ValueError` for a number, a text or a list in a config that no network of ours can mean."""
    match value:
        case int() | float() if not abs(value) <= _LARGEST:
            raise ValueError(f"a number is larger than {_LARGEST}")
        case str() if len(value) > _LONGEST:
            raise ValueError(f"a text is longer than {_LONGEST} letters")
        case list() | tuple() | Mapping() if len(value) > _LONGEST:
            raise ValueError(f"a list has more than {_LONGEST} entries")
        case Mapping():
            _check_numbers(list(value.values()))
        case list() | tuple():
            for item in value:
                _check_numbers(item)


def _check_size(network_class: Any, config: Mapping[str, Any], most_bytes: int) -> None:
    """Raise `ValueError` where the network's tensors would have more than `most_bytes`, without making them."""
    import torch

    with torch.device("meta"):
        tensors = network_class.from_config(config).state_dict().values()
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors) > most_bytes:
        raise ValueError("it describes a network that is far larger than its file")
