"""Light and background."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.training.renderer.paint import Random, noise, soften

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
    """Warm or cold, with a little of anything."""
    warmth = random.normal(0, strength)
    return np.clip(np.array([1 + warmth, 1, 1 - warmth]) + random.normal(0, strength * 0.35, 3), 0.4, 1.6)


def _direction(azimuth: float, elevation: float) -> npt.NDArray:
    level = np.cos(elevation)
    return np.array([np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level])


def make_light(random: Random) -> Light:
    """A random light: soft to hard, from the front or the side, more or less coloured."""
    up = random.uniform(0.25, 0.6) * _tint(random, 0.1)
    directions = [_direction(random.uniform(-1.3, 1.3), random.uniform(-0.1, 1.1))]
    colours = [random.uniform(0.4, 1.1) * _tint(random, 0.12)]
    for _ in range(int(random.integers(0, 3))):
        directions.append(_direction(random.uniform(-2.6, 2.6), random.uniform(-0.1, 1.1)))
        colours.append(random.uniform(0.05, 0.6) * _tint(random, 0.15))
    return Light(
        ambient_up=up.astype(np.float32),
        ambient_down=(up * random.uniform(0.35, 0.95) * _tint(random, 0.08)).astype(np.float32),
        directions=np.array(directions, np.float32),
        colours=np.array(colours, np.float32),
        exposure=float(random.uniform(0.8, 1.25)),
    )


def studio_light() -> Light:
    """A pleasant portrait light: a large key from above one side, a fill, and a rim."""
    directions = [_direction(0.6, 0.55), _direction(-0.8, 0.2), _direction(-2.5, 0.5)]
    colours = [(0.62, 0.60, 0.57), (0.22, 0.23, 0.25), (0.30, 0.30, 0.32)]
    return Light(
        np.array([0.52, 0.53, 0.55], np.float32),
        np.array([0.36, 0.35, 0.34], np.float32),
        np.array(directions, np.float32),
        np.array(colours, np.float32),
        1.08,
    )


def _muted(random: Random, saturation: float) -> npt.NDArray:
    colour = random.random(3)
    return colour.mean() + (colour - colour.mean()) * saturation


def _shapes(random: Random, picture: npt.NDArray, saturation: float) -> FloatArray:
    """Random shapes, more or less out of focus."""
    size = len(picture)
    canvas = np.ascontiguousarray(picture, np.float32)
    for _ in range(int(random.integers(3, 14))):
        colour = _muted(random, saturation).tolist()
        points = (random.random((int(random.integers(3, 6)), 2)) * size * 1.4 - 0.2 * size).astype(np.int32)
        if random.random() < 0.6:
            cv2.fillConvexPoly(canvas, cv2.convexHull(points), colour, cv2.LINE_AA)
        else:
            centre = (int(points[0, 0]), int(points[0, 1]))
            cv2.circle(canvas, centre, int(random.uniform(0.03, 0.25) * size), colour, -1, cv2.LINE_AA)
    return soften(canvas, random.uniform(0.5, 14) * size / 256)


def make_background(random: Random, size: int) -> FloatArray:
    """A random picture [size, size, 3] in display colours 0..1: plain, graded, or blurred shapes, with some noise."""
    kind, saturation = int(random.integers(0, 4)), random.random() ** 1.2
    first, second = _muted(random, saturation), _muted(random, saturation)
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    ramp = np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)[..., None] * (kind > 0)
    picture = first * (1 - ramp) + second * ramp
    if kind >= 2:
        picture = _shapes(random, picture, saturation)
    picture = picture + 0.04 * noise(random, size, size)[..., None] * random.random()
    return np.clip(picture, 0, 1).astype(np.float32)


def studio_background(size: int) -> FloatArray:
    """A quiet grey-blue backdrop, brighter in the middle."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    glow = np.exp(-((x / 0.55) ** 2) - ((y + 0.05) / 0.6) ** 2)[..., None]
    return (np.array([0.30, 0.34, 0.40]) * (1 - glow) + np.array([0.62, 0.66, 0.70]) * glow).astype(
        np.float32
    )
