"""How alike two pictures look: a distance in features, without any download.

The features are those of a small convolutional network with fixed random filters: five stages, orthonormal filters from
a fixed seed, each stage at half the size of the one before. Nothing in it was trained, so no network that is evaluated
can have learned to please it. It sees blur, missing texture and misplaced edges, but not faces. It is not LPIPS, and
the Fréchet distance in its features is not FID.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from edtalk_server.engine.tensors import to_tensor
from edtalk_server.evaluation.metrics.image_distance import Picture

Doubles = npt.NDArray[np.float64]

_WIDTHS = (16, 32, 64, 64, 64)
_SEED = 1


@cache
def random_filters() -> tuple[Tensor, ...]:
    """Return the filters [out, in, 3, 3] of each stage, the same on every machine."""
    random, filters, inputs = np.random.default_rng(_SEED), [], 3
    for width in _WIDTHS:
        rows = np.linalg.qr(random.standard_normal((inputs * 9, width)))[0].T
        filters.append(torch.from_numpy(rows.reshape(width, inputs, 3, 3).astype(np.float32)))
        inputs = width
    return tuple(filters)


@torch.inference_mode()
def stages(frames: Picture) -> list[Tensor]:
    """Return feature maps [N, C, n, n] of pictures [N, S, S, 3], fine to coarse."""
    x, maps = to_tensor(frames), []
    for filters in random_filters():
        x = F.leaky_relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), filters), 0.2)
        maps.append(x)
        x = F.avg_pool2d(x, 2)
    return maps


def distances(drawn: Picture, true: Picture) -> list[float]:
    """Return a distance for each frame: squared distance of channel-normalised features, averaged over places and
    summed over stages (as LPIPS with equal channel weights). 0 for equal pictures."""
    pairs = zip(stages(drawn), stages(true), strict=True)
    apart = [_normalised_distance(a, b).mean((1, 2)) for a, b in pairs]
    return [float(value) for value in torch.stack(apart).sum(0)]


def _normalised_distance(a: Tensor, b: Tensor) -> Tensor:
    return (F.normalize(a, dim=1, eps=1e-6) - F.normalize(b, dim=1, eps=1e-6)).square().sum(1)


def summary(frames: Picture) -> Doubles:
    """Return a row for each picture for `frechet`: the mean features of the last stage times 100, [N, 64]."""
    return 100.0 * np.asarray(stages(frames)[-1].mean((2, 3)).numpy(), np.float64)


def frechet(drawn: Doubles, true: Doubles) -> float:
    """Return the Fréchet distance of two sets of rows [N, D] (Heusel et al. 2017): |m - m'|² + tr(C + C' - 2 (C
    C')^½)."""
    apart = float(np.square(drawn.mean(0) - true.mean(0)).sum())
    a, b = np.cov(drawn, rowvar=False), np.cov(true, rowvar=False)
    # the eigenvalues of C C' are real and not negative; rounding makes some slightly complex or negative
    root = np.sqrt(np.clip(np.linalg.eigvals(a @ b).real, 0, None)).sum()
    return float(max(0.0, apart + np.trace(a) + np.trace(b) - 2 * root))
