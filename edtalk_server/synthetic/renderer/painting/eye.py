"""The ball of the eye: white, iris and pupil, painted around the gaze axis."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.mesh import smooth_step
from edtalk_server.synthetic.renderer.painting.brushes import Random, linear, noise, over

_SIDE = 256
_IRIS_COLOURS = np.array(
    [
        (0.22, 0.12, 0.06),
        (0.14, 0.08, 0.05),
        (0.33, 0.20, 0.09),
        (0.42, 0.38, 0.22),
        (0.42, 0.52, 0.64),
        (0.36, 0.46, 0.34),
        (0.55, 0.60, 0.64),
    ]
)
_DARK = 3
"""So many of the colours go with dark skin."""


def _white(random: Random, radius: npt.NDArray) -> npt.NDArray:
    """Paint the white of the eye: no whiter than light skin, pink towards the corners, with a few veins."""
    bright, warmth = random.uniform(0.72, 0.87), random.uniform(0.0, 0.05)
    white = linear([bright + 0.01, bright - 0.4 * warmth, bright - warmth])
    veins = np.clip(noise(random, _SIDE, _SIDE, ((40, 0.6), (140, 0.8))) - 0.9, 0, 1)
    outer = np.clip((radius - 48) / 60, 0, 1)
    red = (outer * (0.8 + veins))[..., None] * np.array([0.12, 0.38, 0.36])
    return white * (1 + 0.03 * noise(random, _SIDE, _SIDE)[..., None]) * (1 - np.clip(red, 0, 0.7))


def _iris(random: Random, dark: bool, radius: npt.NDArray, angle: npt.NDArray, rim: float) -> npt.NDArray:
    colour = _IRIS_COLOURS[random.integers(0, _DARK if dark else len(_IRIS_COLOURS))]
    colour = linear(np.clip(colour * random.uniform(0.8, 1.2) + random.normal(0, 0.02, 3), 0.03, 1))
    inner = colour * np.array([1.3, 1.0, 0.6]) * random.uniform(0.7, 1.2)  # often browner round the pupil
    rays = cv2.resize(random.standard_normal((1, 60)).astype(np.float32), (1024, 1))[0]
    rays = rays[((angle / np.pi + 1) * 511).astype(int)]
    place = radius / rim
    mixed = over(np.broadcast_to(colour, (*radius.shape, 3)), inner, smooth_step((0.62 - place) / 0.25))
    ring = 1 - random.uniform(0.6, 0.92) * smooth_step((place - 0.74) / 0.24)
    return mixed * ((1 + 0.3 * rays) * ring)[..., None]


def paint_eye(random: Random, dark: bool) -> tuple[npt.NDArray, npt.NDArray]:
    """Paint a polar map around the gaze axis: linear colours [256, 256, 3] and highlights [256, 256]; the cornea
    mirrors most."""
    y, x = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) - (_SIDE - 1) / 2
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    rim = random.uniform(34, 40)
    pupil = rim * random.uniform(0.27, 0.52)
    shaded = 1 - random.uniform(0.15, 0.5) * smooth_step((-y / rim + 0.25) / 0.9)  # the lid's shadow
    iris = _iris(random, dark, radius, angle, rim) * shaded[..., None]
    cover = np.clip((rim + 2 - radius) / 4, 0, 1)
    colours = over(_white(random, radius), iris, cover)
    colours = over(colours, 0.003, np.clip((pupil + 0.7 - radius) / 1.4, 0, 1))
    return np.clip(colours, 0.002, 1), 0.7 + random.uniform(1.0, 2.2) * cover
