"""The network class of each kind of part, imported only when such a part is built."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

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


def build(role: str, part: NetworkPart) -> nn.Module:
    """Build the untrained network of a part. Raises `EDTalkError(BUNDLE_INVALID)` for an unknown kind or a bad
    config."""
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
        network: nn.Module = network_class.from_config(part.config)
    except (ValueError, TypeError, KeyError) as error:
        raise invalid(f"The config of {role} cannot be used: {error}.") from error
    return network
