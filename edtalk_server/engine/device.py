"""Where to compute."""

from __future__ import annotations

import torch

from shared_protocol.errors import EDTalkError, ErrorCode


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` takes CUDA, then MPS, then the CPU.

    Raises `EDTalkError(UNSUPPORTED)` for a device that this machine does not have.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, is_there in present.items() if is_there))
    if not present.get(name, False):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The device {name!r} is not available here.",
            f"Use one of: auto, {', '.join(kind for kind, is_there in present.items() if is_there)}.",
        )
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return a name for people: `cpu`, `mps`, or the name of the graphics card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
