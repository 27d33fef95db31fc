"""Hats and scarves: above a line around the head the hair shell is thicker and painted as cloth.

Only a visor has its own geometry: a cap is smooth, knitted hair. The line is an angle from
the crown, as in the texture of the hair, so that mesh and paint agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.mesh import smooth_step
from edtalk_server.synthetic.renderer.painting.brushes import COLUMNS, FACE_SIDE, ROWS, Random, over
from edtalk_server.synthetic.renderer.painting.fabric import paint_fabric

_CENTIMETRES = 30.0
"""Along the head, for one unit of the angle."""


@dataclass(frozen=True)
class Headwear:
    """Cloth down to `front` over the face and `back` over the nape (0 crown, 1 straight down), `thickness` in
    centimetres."""

    front: float
    back: float
    thickness: float
    visor: bool
    wraps: bool
    """A scarf: long hair is painted as cloth too."""

    def above(self, around: npt.NDArray, down: npt.NDArray) -> npt.NDArray:
        """Return the centimetres above the edge; `around` is 0..1 with 0.5 over the face, `down` 0 (crown) to 1."""
        share = np.abs(around - 0.5) * 2
        edge = self.front + (self.back - self.front) * smooth_step(share)
        return np.asarray((edge - down) * _CENTIMETRES)

    def above_points(self, points: npt.NDArray) -> npt.NDArray:
        """Return the same as `above` for points [..., 3] of the resting head."""
        offset = points - np.array([0, 2, 0])
        down = np.arccos(np.clip(offset[..., 1] / np.linalg.norm(offset, axis=-1), -1, 1)) / np.pi
        return self.above(np.arctan2(points[..., 0], points[..., 2]) / (2 * np.pi) + 0.5, down)

    def stand_off(self, points: npt.NDArray) -> npt.NDArray:
        """Return the thickness [...] over the head: a step at the edge, more room at the crown."""
        above = self.above_points(points)
        crown = smooth_step((points[..., 1] - 8) / 6)
        return np.where(above > 0, smooth_step(above / 0.6 + 0.3) * self.thickness * (1 + 0.6 * crown), -9.0)


def choose_headwear(random: Random) -> Headwear | None:
    """Choose headwear; most people wear none."""
    dice = random.random()
    if dice > 0.14:
        return None
    if dice < 0.04:
        return Headwear(
            random.uniform(0.27, 0.32), random.uniform(0.7, 0.8), random.uniform(0.3, 0.6), False, True
        )
    thickness = random.uniform(0.35, 0.8)
    visor = dice > 0.09
    back = random.uniform(0.42, 0.52) if visor else random.uniform(0.48, 0.6)
    return Headwear(random.uniform(0.25, 0.315), back, thickness, visor, False)


def paint_headwear(random: Random, worn: Headwear, hair: npt.NDArray) -> npt.NDArray:
    """Paint the cloth over `hair` [512, 512, 3], in linear colours."""
    cloth = paint_fabric(random)
    above = worn.above(COLUMNS / (FACE_SIDE - 1), ROWS / (FACE_SIDE - 1))
    if not worn.visor and not worn.wraps:  # knitted, with a turned-up rim
        ribs = np.sin(COLUMNS * random.uniform(0.4, 0.9))
        cloth = cloth * (1 + random.uniform(0.05, 0.25) * ribs)[..., None]
        rim = smooth_step((random.uniform(1.5, 3.5) - above) / 0.2)
        cloth = cloth * (1 + random.uniform(-0.3, 0.2) * rim)[..., None]
    cloth = cloth * (1 - 0.5 * np.exp(-((above / 0.25) ** 2)))[..., None]
    return over(hair, cloth, np.ones_like(above) if worn.wraps else smooth_step(above / 0.15 + 0.5))
