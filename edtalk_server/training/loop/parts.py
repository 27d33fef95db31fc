"""Networks beside the face, as `edtalk train export --audio FOLDER` takes them into a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from shared_protocol import atomic_write


def write_part(folder: Path, role: str, kind: str, config: Mapping[str, Any], network: nn.Module) -> None:
    """Write `<role>.safetensors` (float16) and `<role>.json` (the part for a bundle's manifest) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.eval().state_dict().items()
    }
    part = {"kind": kind, "config": dict(config), "file": f"{role}.safetensors"}
    with atomic_write.replacing(folder / f"{role}.safetensors") as partial:
        save_file(tensors, partial)
    (folder / f"{role}.json").write_text(json.dumps(part, indent=2) + "\n", encoding="utf-8")
