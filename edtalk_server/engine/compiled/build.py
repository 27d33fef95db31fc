"""Build a library: `python -m edtalk_server.engine.compiled.build CONFIG PRECISION FOLDER`, a process of its own.

CONFIG is the network's config as JSON. The weights do not matter: they are inputs of the library, which therefore
serves every bundle of that size. FOLDER receives `frame.so` and, last, `frame.json` with what it expects.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edtalk_server.engine.compiled.frame import draw, fuse, tensors_of, with_tensors
from edtalk_server.engine.compiled.settings import Precision
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.fast import FastEDTalk, enhanced
from shared_protocol import atomic_write

LIBRARY, SIGNATURE = "frame.so", "frame.json"


def signature(tensors: list[Tensor]) -> list[list[Any]]:
    """Return type, shape and strides of tensors: a library reads memory by them."""
    return [[str(one.dtype), list(one.shape), list(one.stride())] for one in tensors]


class _Frame(nn.Module):
    """`draw` as a module, which is what `torch.export` takes."""

    def __init__(self, template: Any) -> None:
        super().__init__()
        self._template = template

    def forward(self, tensors: list[Tensor]) -> Tensor:
        fused, latent, features, weights = with_tensors(self._template, iter(tensors))
        return draw(fused, latent, features, weights)


def example(config: EDTalkConfig, precision: Precision) -> Any:
    """Return the arguments of `draw` for an untrained network and a grey picture."""
    face = FastEDTalk(EDTalk(config).eval().requires_grad_(False))
    prepared = face.prepare(torch.zeros(1, 3, config.size, config.size))
    weights = torch.zeros(1, config.channels)
    features = enhanced(prepared, weights[:, prepared.constants.expression_start :])
    return fuse(prepared.constants, precision), prepared.latent, features, weights


def build(config: EDTalkConfig, precision: Precision, folder: Path) -> None:
    """Compile into a folder. Raises what the compiler raises."""
    import torch._inductor
    import torch._inductor.config as inductor

    inductor.compile_threads = 1
    with torch.no_grad():
        arguments = example(config, precision)
        tensors = tensors_of(arguments)
        program = torch.export.export(_Frame(arguments), (tensors,), strict=False)
        path: Any = torch._inductor.aot_compile(program.module(), (tensors,))
    folder.mkdir(parents=True, exist_ok=True)
    library = path if isinstance(path, str) else next(one for one in map(str, path) if one.endswith(".so"))
    with atomic_write.replacing(folder / LIBRARY) as copy:  # another process may build the same one
        shutil.copyfile(library, copy)
    atomic_write.write(folder / SIGNATURE, json.dumps(signature(tensors)).encode())


if __name__ == "__main__":
    torch.set_num_threads(1)
    build(EDTalkConfig.from_dict(json.loads(sys.argv[1])), Precision(sys.argv[2]), Path(sys.argv[3]))
