"""Backgrounds: studio walls, rooms, streets and parks, mostly out of focus, as behind people in photos."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.painting.brushes import Random, noise, soften

FloatArray = npt.NDArray[np.float32]
Picture = npt.NDArray


def _muted(random: Random, saturation: float) -> Picture:
    colour = random.random(3)
    return colour.mean() + (colour - colour.mean()) * saturation


def _saturation(random: Random) -> float:
    """Return a saturation: mostly quiet, now and then loud."""
    return float(random.random() ** 2.2)


def _rectangle(random: Random, canvas: FloatArray, colour: Picture, box: Picture) -> None:
    """Draw `box` (left, top, right, bottom in 0..1) slightly crooked."""
    size = len(canvas)
    left, top, right, bottom = box * size
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    corners += random.normal(0, 0.008 * size, (4, 2))
    cv2.fillConvexPoly(canvas, corners.astype(np.int32), colour.tolist(), cv2.LINE_AA)


def _graded(random: Random, size: int, first: Picture, second: Picture) -> FloatArray:
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    ramp = np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)[..., None]
    return np.asarray(first * (1 - ramp) + second * ramp, np.float32)


def _wall(random: Random, size: int) -> FloatArray:
    """Paint one colour, lit from one side or in the middle."""
    colour = _muted(random, _saturation(random))
    picture = _graded(random, size, colour, colour * random.uniform(0.5, 1.1))
    if random.random() < 0.5:
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - random.uniform(0.3, 0.7)
        glow = np.exp(-(x**2 + y**2) / random.uniform(0.1, 0.6))[..., None]
        picture = picture * (0.55 + 0.6 * glow)
    if random.random() < 0.4:
        grain = noise(random, size, size, ((8, 0.5), (60, 0.5), (250, 0.6)))[..., None]
        picture = picture * (1 + random.uniform(0.02, 0.2) * grain)
    return np.asarray(picture, np.float32)


def _room(random: Random, size: int) -> FloatArray:
    """Paint a wall with door, window, shelves or pictures."""
    wall = _muted(random, 0.3 * random.random()) * 0.5 + random.uniform(0.1, 0.45)
    canvas = np.ascontiguousarray(_graded(random, size, wall, wall * random.uniform(0.6, 1.0)))
    for _ in range(int(random.integers(2, 7))):
        left, top = random.uniform(-0.2, 0.9, 2)
        width, height = random.uniform(0.08, 0.5, 2)
        colour = _muted(random, 0.5 * random.random()) * random.uniform(0.2, 1.0)
        if random.random() < 0.25:  # a window or a lamp
            colour = np.clip(np.array([1.0, 0.97, 0.92]) + random.normal(0, 0.06, 3), 0.75, 1)
        _rectangle(random, canvas, colour, np.array([left, top, left + width, top + height]))
    if random.random() < 0.4:
        _shelf(random, canvas)
    return canvas


def _shelf(random: Random, canvas: FloatArray) -> None:
    """Draw rows of books."""
    rows, saturation = int(random.integers(3, 6)), random.uniform(0.2, 0.8)
    for row in range(rows):
        left = random.uniform(-0.1, 0.05)
        while left < 1:
            width = random.uniform(0.02, 0.07)
            top = (row + random.uniform(0.05, 0.3)) / rows
            box = np.array([left, top, left + width, (row + 0.93) / rows])
            _rectangle(random, canvas, _muted(random, saturation) * random.uniform(0.2, 0.9), box)
            left += width


def _outdoors(random: Random, size: int) -> FloatArray:
    """Paint sky above, leaves or houses below."""
    sky = np.array([0.62, 0.74, 0.88]) * (1 - 0.3 * random.random()) + random.uniform(0, 0.2)
    ground = np.array([0.30, 0.36, 0.20]) * random.uniform(0.5, 1.5) + random.normal(0, 0.06, 3)
    y = np.linspace(0, 1, size)[:, None, None]
    horizon = random.uniform(-0.1, 0.9)
    border = horizon + 0.1 * noise(random, size, size, ((6, 0.6), (30, 0.4)))[..., None]
    below = np.clip((y - border) * 30, 0, 1)
    leaves = noise(random, size, size, ((16, 0.5), (70, 0.7), (200, 0.5)))[..., None]
    ground = ground * (1 + random.uniform(0.1, 0.5) * leaves)
    canvas = np.ascontiguousarray(sky * (1 - 0.2 * y) * (1 - below) + ground * below, np.float32)
    if random.random() < 0.4:
        for _ in range(int(random.integers(1, 5))):
            left, top = random.uniform(-0.1, 0.9), random.uniform(0.0, 0.7)
            box = np.array([left, top, left + random.uniform(0.1, 0.4), 1.1])
            _rectangle(random, canvas, _muted(random, 0.2) * 0.8, box)
    return canvas


def _lights(random: Random, size: int) -> FloatArray:
    """Paint lamps out of focus: discs of light in the dark."""
    dark = _muted(random, 0.4) * random.uniform(0.05, 0.4)
    canvas = np.ascontiguousarray(_graded(random, size, dark, dark * random.uniform(0.3, 1.5)))
    radius = random.uniform(0.015, 0.07)
    warm = np.array([1.0, random.uniform(0.6, 0.95), random.uniform(0.3, 0.9)])
    for _ in range(int(random.integers(8, 40))):
        disc = np.zeros((size, size), np.float32)
        centre = (random.random(2) * size).astype(int)
        reach = int(radius * size * random.uniform(0.6, 1.2)) + 1
        cv2.circle(disc, centre.tolist(), reach, (1.0,), -1, cv2.LINE_AA)
        colour = warm if random.random() < 0.7 else _muted(random, 1.0)
        canvas += disc[..., None] * colour.astype(np.float32) * np.float32(random.uniform(0.05, 0.6))
    return canvas


def _shapes(random: Random, size: int) -> FloatArray:
    """Paint random shapes of any colour, so that a network relies on nothing."""
    saturation = random.random() ** 1.2
    canvas = np.ascontiguousarray(
        _graded(random, size, _muted(random, saturation), _muted(random, saturation))
    )
    for _ in range(int(random.integers(3, 14))):
        colour = _muted(random, saturation).tolist()
        points = (random.random((int(random.integers(3, 6)), 2)) * size * 1.4 - 0.2 * size).astype(np.int32)
        if random.random() < 0.6:
            cv2.fillConvexPoly(canvas, cv2.convexHull(points), colour, cv2.LINE_AA)
        else:
            cv2.circle(
                canvas, points[0].tolist(), int(random.uniform(0.03, 0.25) * size), colour, -1, cv2.LINE_AA
            )
    return canvas


_KINDS: tuple[tuple[Callable[[Random, int], FloatArray], float], ...] = (
    (_wall, 0.34),
    (_room, 0.24),
    (_outdoors, 0.15),
    (_lights, 0.10),
    (_shapes, 0.17),
)


def make_background(random: Random, size: int) -> FloatArray:
    """Paint a random picture [size, size, 3] in display colours 0..1, at 256 pixels at most: it is out of focus."""
    painters = [painter for painter, _ in _KINDS]
    painter = painters[random.choice(len(painters), p=[share for _, share in _KINDS])]
    side = min(size, 256)
    picture = painter(random, side)
    picture = soften(picture, random.uniform(0.4, 1.0) if random.random() < 0.2 else random.uniform(1.5, 11))
    picture = picture + 0.02 * noise(random, side, side)[..., None] * random.random()
    large = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.clip(large, 0, 1).astype(np.float32)
