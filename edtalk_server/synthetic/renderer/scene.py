"""Light and background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.painting.backdrop import make_background
from edtalk_server.synthetic.renderer.painting.brushes import Random

__all__ = ["Light", "make_background", "make_light", "studio_background", "studio_light"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Light:
    """Ambient light from above and below, and one to three directional lights, of which the first throws a shadow."""

    ambient_up: FloatArray
    ambient_down: FloatArray
    directions: FloatArray
    """[L, 3] unit vectors towards the lights."""
    colours: FloatArray
    """[L, 3]"""
    exposure: float


def _tint(random: Random, strength: float) -> npt.NDArray:
    """Return a tint: warm or cold, with a little of any colour."""
    warmth = random.normal(0, strength)
    return np.clip(np.array([1 + warmth, 1, 1 - warmth]) + random.normal(0, strength * 0.35, 3), 0.4, 1.6)


def _direction(azimuth: float, elevation: float) -> npt.NDArray:
    level = np.cos(elevation)
    return np.array([np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level])


def make_light(random: Random) -> Light:
    """Return a random light: mostly soft from the front, else from the side, or hard, or coloured; often with a
    fill or a rim."""
    dice, directions, colours = random.random(), [], []

    def add(azimuth: float, elevation: float, colour: npt.NDArray) -> None:
        directions.append(_direction(azimuth, elevation))
        colours.append(colour)

    side = random.choice([-1.0, 1.0])
    up = random.uniform(0.3, 0.65) * _tint(random, 0.09)
    if dice < 0.45:  # a window or a soft box
        add(
            side * random.uniform(0.1, 1.0),
            random.uniform(0.1, 0.8),
            random.uniform(0.3, 0.75) * _tint(random, 0.1),
        )
        add(
            -side * random.uniform(0.4, 1.2),
            random.uniform(-0.1, 0.4),
            random.uniform(0.05, 0.35) * _tint(random, 0.1),
        )
    elif dice < 0.6:  # a rim from behind, the face in the shade
        add(
            side * random.uniform(1.8, 2.7),
            random.uniform(0.1, 0.8),
            random.uniform(0.5, 1.4) * _tint(random, 0.12),
        )
        add(random.uniform(-0.5, 0.5), random.uniform(0, 0.6), random.uniform(0.15, 0.5) * _tint(random, 0.1))
    else:  # anything
        add(
            random.uniform(-1.3, 1.3),
            random.uniform(-0.1, 1.1),
            random.uniform(0.4, 1.1) * _tint(random, 0.12),
        )
        up = up * random.uniform(0.7, 1.0)
        for _ in range(int(random.integers(0, 3))):
            strong = 0.35 if random.random() < 0.2 else 0.15
            colour = random.uniform(0.05, 0.6) * _tint(random, strong)
            add(random.uniform(-2.6, 2.6), random.uniform(-0.1, 1.1), colour)
    return Light(
        ambient_up=up.astype(np.float32),
        ambient_down=(up * random.uniform(0.4, 0.95) * _tint(random, 0.08)).astype(np.float32),
        directions=np.array(directions, np.float32),
        colours=np.array(colours, np.float32),
        exposure=float(random.uniform(0.8, 1.25)),
    )


def studio_light() -> Light:
    """Return a pleasant portrait light: a large key from above one side, a fill, and a rim."""
    directions = [_direction(0.6, 0.55), _direction(-0.8, 0.2), _direction(-2.5, 0.5)]
    colours = [(0.62, 0.60, 0.57), (0.22, 0.23, 0.25), (0.30, 0.30, 0.32)]
    return Light(
        np.array([0.52, 0.53, 0.55], np.float32),
        np.array([0.36, 0.35, 0.34], np.float32),
        np.array(directions, np.float32),
        np.array(colours, np.float32),
        1.08,
    )


def studio_background(size: int) -> FloatArray:
    """Return a quiet grey-blue backdrop, brighter in the middle."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    glow = np.exp(-((x / 0.55) ** 2) - ((y + 0.05) / 0.6) ** 2)[..., None]
    return (np.array([0.30, 0.34, 0.40]) * (1 - glow) + np.array([0.62, 0.66, 0.70]) * glow).astype(
        np.float32
    )
