"""A run's state in small files, to carry it from one machine to the next.

Averaged tensors as float16 and the progress of each stage: `state-00.safetensors`, `state-01.safetensors`, ... of at
most `LIMIT` bytes each, and `state.json`. Optimizers start without a past.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from edtalk_server.media.video.sequence import make_folder, write_whole
from edtalk_server.training.loop import checkpoint

LIMIT = 15 * 2**20
"""Largest file in bytes."""
STAGES = ("motion", "generator", "fit")
_KEPT = ("config", "progress", "finished")


def pack(run: Path, folder: Path) -> list[Path]:
    """Write the state of the run in folder `run`; return the written files, none without a checkpoint."""
    states = {
        stage: checkpoint.load(run / f"{stage}.pt") for stage in STAGES if (run / f"{stage}.pt").is_file()
    }
    if not states:
        return []
    make_folder(folder)
    tensors = {
        f"{stage}/{name}": _halved(tensor)
        for stage, state in states.items()
        for name, tensor in state["average"].items()
    }
    written = []
    for number, part in enumerate(_parts(tensors)):
        written.append(folder / f"state-{number:02}.safetensors")
        write_whole(written[-1], save(part))
    about = {stage: {name: state[name] for name in _KEPT} for stage, state in states.items()}
    written.append(folder / "state.json")
    write_whole(written[-1], json.dumps({"parts": len(written) - 1, "stages": about}).encode())
    return written


def unpack(folder: Path, run: Path) -> list[str]:
    """Restore checkpoints in `run` where it has none; return their stages. `ValueError` when a part is missing."""
    about: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    parts = [folder / f"state-{number:02}.safetensors" for number in range(about["parts"])]
    if missing := [part.name for part in parts if not part.is_file()]:
        raise ValueError(f"{folder} lacks {', '.join(missing)}")
    tensors = {name: tensor for part in parts for name, tensor in load_file(part).items()}
    restored = []
    make_folder(run)
    for stage, state in about["stages"].items():
        if (run / f"{stage}.pt").is_file():
            continue
        own = {
            name.removeprefix(f"{stage}/"): _full(tensor)
            for name, tensor in tensors.items()
            if name.startswith(f"{stage}/")
        }
        checkpoint.save(run / f"{stage}.pt", {**state, "network": own, "average": own})
        restored.append(stage)
    return restored


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype is torch.float16 else tensor


def _parts(tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors in order, as many at a time as fit into a file."""
    part: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        if part and size + tensor.nbytes > LIMIT:
            yield part
            part, size = {}, 0
        part[name] = tensor
        size += tensor.nbytes
    yield part
