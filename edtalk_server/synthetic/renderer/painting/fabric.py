"""Cloth: weaves, stripes, checks and prints, and their colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.mesh import smooth_step
from edtalk_server.synthetic.renderer.painting.brushes import (
    COLUMNS,
    FACE_SIDE,
    ROWS,
    Random,
    linear,
    noise,
    over,
)

Picture = npt.NDArray


def cloth_colour(random: Random, saturation: float) -> Picture:
    """Choose a linear colour; black, white, grey and navy are as common as all others together."""
    if random.random() < 0.45:
        plain = ((0.06, 0.06, 0.07), (0.9, 0.9, 0.88), (0.35, 0.35, 0.37), (0.10, 0.13, 0.25))
        return linear(np.clip(np.array(plain[random.integers(0, 4)]) + random.normal(0, 0.03, 3), 0.02, 0.95))
    colour = random.random(3)
    return linear(colour.mean() + (colour - colour.mean()) * saturation)


def paint_fabric(random: Random) -> Picture:
    """Paint a fabric in linear colours [512, 512, 3]."""
    saturation = random.random() ** 1.3
    cloth = np.broadcast_to(cloth_colour(random, saturation), (FACE_SIDE, FACE_SIDE, 3))
    second = cloth_colour(random, saturation)
    match int(random.integers(0, 8)):
        case 1:
            cloth = over(cloth, second, np.sin(ROWS * random.uniform(0.1, 0.5)) > 0)
        case 2:
            cloth = over(cloth, second, np.sin(COLUMNS * random.uniform(0.1, 0.5)) > 0)
        case 3:
            cloth = over(cloth, second, noise(random, FACE_SIDE, FACE_SIDE, ((30, 1.0),)) > 0.3)
        case 4:
            step = random.uniform(0.15, 0.5)
            cloth = over(
                cloth, second, 0.35 * ((np.sin(ROWS * step) > 0.3) + 1.0 * (np.sin(COLUMNS * step) > 0.3))
            )
    creases = noise(random, FACE_SIDE, FACE_SIDE, ((10, 0.5), (24, 0.5)))
    weave = noise(random, FACE_SIDE, FACE_SIDE, ((60, 1), (400, 1)))
    return np.clip(cloth * (1 + 0.10 * creases + 0.06 * weave)[..., None], 0.003, 1)


def paint_clothes(random: Random) -> Picture:
    """Paint the torso's tile in linear colours [512, 512, 3]: the front is at the left and right edge, the collar on
    top."""
    clothes = paint_fabric(random)
    aside = np.minimum(COLUMNS, FACE_SIDE - 1 - COLUMNS) / FACE_SIDE
    down = ROWS / FACE_SIDE
    if random.random() < 0.35:  # a shirt in an open jacket
        opening = random.uniform(0.05, 0.1) * np.clip(1 - down / random.uniform(0.5, 1.2), 0, 1)
        inside = smooth_step((opening - aside) / 0.008)
        clothes = over(
            clothes, paint_fabric(random) if random.random() < 0.4 else linear([0.92, 0.92, 0.94]), inside
        )
        if random.random() < 0.5:
            tie = smooth_step((0.012 + 0.01 * down - aside) / 0.004) * (down > 0.05)
            clothes = over(clothes, cloth_colour(random, 0.8), tie)
    elif random.random() < 0.5:
        clothes = over(
            clothes, cloth_colour(random, 0.6), smooth_step((random.uniform(0.03, 0.1) - down) / 0.01)
        )
    seam = np.exp(-(((down - 0.02) / 0.02) ** 2))
    return np.asarray(clothes * (1 - 0.5 * seam)[..., None])
