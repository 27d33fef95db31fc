"""How alike two pictures look: a distance in features, without any download.

The own features are those of a small convolutional network with fixed random filters: five stages, orthonormal filters
from a fixed seed, each stage at half the size of the one before. Nothing in it was trained, so no network that is
judged can have learned to please it; it sees blur, missing texture and misplaced edges, but not faces. It is no LPIPS
and is not called so, and the distance of distributions in it is no FID.
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
    """The filters [out, in, 3, 3] of each stage, the same on every machine."""
    random, filters, inputs = np.random.default_rng(_SEED), [], 3
    for width in _WIDTHS:
        rows = np.linalg.qr(random.standard_normal((inputs * 9, width)))[0].T
        filters.append(torch.from_numpy(rows.reshape(width, inputs, 3, 3).astype(np.float32)))
        inputs = width
    return tuple(filters)


@torch.inference_mode()
def stages(frames: Picture) -> list[Tensor]:
    """Feature maps [N, C, n, n] of pictures [N, S, S, 3], fine to coarse."""
    x, found = to_tensor(frames), []
    for filters in random_filters():
        x = F.leaky_relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), filters), 0.2)
        found.append(x)
        x = F.avg_pool2d(x, 2)
    return found


def distances(made: Picture, true: Picture) -> list[float]:
    """For each frame: the squared distance of features normalised over channels, averaged over places, summed over
    stages (the form of LPIPS with all channels weighed alike). 0 for equal pictures."""
    pairs = zip(stages(made), stages(true), strict=True)
    apart = [_normalised_distance(a, b).mean((1, 2)) for a, b in pairs]
    return [float(value) for value in torch.stack(apart).sum(0)]


def _normalised_distance(a: Tensor, b: Tensor) -> Tensor:
    return (F.normalize(a, dim=1, eps=1e-6) - F.normalize(b, dim=1, eps=1e-6)).square().sum(1)


def summary(frames: Picture) -> Doubles:
    """One row a picture for `frechet`: the mean features of the last stage in hundredths, [N, 64]."""
    return 100.0 * np.asarray(stages(frames)[-1].mean((2, 3)).numpy(), np.float64)


def frechet(made: Doubles, true: Doubles) -> float:
    """Fréchet distance of two sets of rows [N, D] (Heusel et al. 2017): |m - m'|² + tr(C + C' - 2 (C C')^½)."""
    apart = float(np.square(made.mean(0) - true.mean(0)).sum())
    a, b = np.cov(made, rowvar=False), np.cov(true, rowvar=False)
    # the eigenvalues of C C' are real and not negative; rounding makes some a little so
    root = np.sqrt(np.clip(np.linalg.eigvals(a @ b).real, 0, None)).sum()
    return float(max(0.0, apart + np.trace(a) + np.trace(b) - 2 * root))
