"""Fit the finder of teeth (`networks/detail`) to all rows at once: geometry alone, some minutes of one core."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.networks.detail.boxes import MOUTH_SIZE, box_coordinates, face_boxes
from edtalk_server.networks.detail.network import ENAMEL_SIZE, TeethFinder
from edtalk_server.synthetic.controls import MIRROR_LANDMARKS, MIRROR_PERMUTATION, MIRROR_SIGN
from edtalk_server.synthetic.renderer.painting.mouth import paint_teeth

_SETS = 12
OWN_NOISE, CHANGE_NOISE, POINT_NOISE = 0.1, 0.02, 0.02
_FAR = 3.0
"""Teeth further from the box's middle than this many halves of it are a torn mesh."""


def even_enamel(seed: int = 3) -> Tensor:
    """Return the texture of an even, healthy set of teeth without light, [3, 16, 128], at most 1: the mean of painted
    ones."""
    random = np.random.default_rng(seed)
    sets = [paint_teeth(random)[0] for _ in range(_SETS)]
    average = np.mean([np.clip(linear, 0, 1) ** (1 / 2.2) for linear in sets], axis=0)
    small = average.reshape(ENAMEL_SIZE[0], -1, ENAMEL_SIZE[1], average.shape[1] // ENAMEL_SIZE[1], 3).mean(
        (1, 3)
    )
    even = torch.from_numpy(small.astype(np.float32)).permute(2, 0, 1)
    even = (even + even.flip(-1)) / 2
    return (even / torch.quantile(even.flatten(1), 0.97, 1)[:, None, None]).clamp_max(1.0)


def teeth_rows(rows: dict[str, npt.NDArray]) -> tuple[Tensor, Tensor, Tensor]:
    """Return, of rows of `render` and their mirrors: source points [N, 68, 2] in the mouth's box, weights [N, 2, 36],
    teeth [N, 2, 16, 2, 2]."""
    frames = torch.from_numpy(rows["frames"][:, 0])
    points = box_coordinates(face_boxes(frames).mouth, torch.from_numpy(rows["points"][:, 0]), MOUTH_SIZE)
    weights, teeth = torch.from_numpy(rows["weights"]), torch.from_numpy(rows["teeth"])
    over = torch.tensor([-1.0, 1.0])
    mirrored = weights[..., torch.from_numpy(MIRROR_PERMUTATION)] * torch.from_numpy(MIRROR_SIGN)
    turned = points[:, torch.from_numpy(MIRROR_LANDMARKS)] * over
    both = (
        torch.cat([points, turned]),
        torch.cat([weights, mirrored]),
        torch.cat([teeth, teeth.flip(2) * over]),
    )
    sound = both[2].abs().flatten(1).amax(1) < _FAR
    return both[0][sound], both[1][sound], both[2][sound]


def fit_teeth(finder: TeethFinder, rows: dict[str, npt.NDArray], steps: int, seed: int = 0) -> float:
    """Fit `finder` in place; return the root mean square error of its last steps, in halves of a box."""
    finder.requires_grad_(requires_grad=True)
    random = torch.Generator().manual_seed(seed)
    points, weights, teeth = teeth_rows(rows)
    _choose_arches(finder, teeth.flatten(1))
    optimizer = torch.optim.AdamW(finder.parameters(), 2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    recent = 1.0
    for _ in range(steps):
        index = torch.randint(0, len(teeth), (128,), generator=random)
        own, change = weights[index, 0], weights[index, 1] - weights[index, 0]
        conditions = torch.cat(
            [
                own + OWN_NOISE * torch.randn(own.shape, generator=random),
                change + CHANGE_NOISE * torch.randn(own.shape, generator=random),
            ],
            1,
        )
        noisy = points[index]
        noisy = noisy + POINT_NOISE * torch.randn(len(index), 1, 2, generator=random)
        noisy = noisy + POINT_NOISE / 2 * torch.randn(noisy.shape, generator=random)
        loss = (finder(noisy, conditions) - teeth[index]).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        recent = 0.98 * recent + 0.02 * float(loss.detach()) ** 0.5
    finder.requires_grad_(requires_grad=False)
    return recent


@torch.no_grad()
def _choose_arches(finder: TeethFinder, teeth: Tensor) -> None:
    """Set the principal shapes of the arches that there are."""
    mean = teeth.mean(0)
    _, spread, shapes = torch.linalg.svd(teeth - mean, full_matrices=False)
    count = finder.arches.in_features
    finder.arches.bias.copy_(mean)
    finder.arches.weight.copy_((shapes[:count] * spread[:count, None] / len(teeth) ** 0.5).t())
