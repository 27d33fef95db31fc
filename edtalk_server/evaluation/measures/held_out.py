"""How well a fine-tuned network draws film of its person that it did not learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edtalk_server.engine.tensors import to_pictures
from edtalk_server.evaluation.metrics.image_distance import psnr
from edtalk_server.networks.fast import accelerate
from edtalk_server.training.finetune.data import FilmData


@torch.no_grad()
def held_out_psnr(face: Any, film: FilmData) -> float:
    """Return the mean PSNR in dB of held-out pictures, each drawn from another picture of its shot."""
    face = accelerate(face)
    values = []
    for part in film.held_out():
        prepared = face.prepare(part.source)
        for picture, weights in zip(part.pictures, part.weights, strict=True):
            drawn = face.decode(prepared, weights[None])
            values.append(psnr(to_pictures(drawn)[0], picture))
    return float(np.mean(values))
