# SPDX-License-Identifier: GPL-3.0-or-later
"""The crop as a box on the picture that a mouse moves, scales and turns. No bpy here.

Points are pixels of the portrait from its left top, y downwards, as in `messages.Crop`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import Enum

from shared_protocol.messages import Crop

Point = tuple[float, float]
SMALLEST = 16.0
"""Pixels of a side: a smaller box could hardly be grabbed again."""


class Grip(Enum):
    """What a drag of the mouse does."""

    MOVE = "move"
    SCALE = "scale"
    TURN = "turn"


def corners(crop: Crop) -> list[Point]:
    """Return left top, right top, right bottom and left bottom, as the crop sees them."""
    return [_point(crop, x, y) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))]


def top_mark(crop: Crop) -> tuple[Point, Point]:
    """Return a line out of the middle of the upper edge: it shows where the top of the head belongs."""
    return _point(crop, 0.0, -0.5), _point(crop, 0.0, -0.58)


def grip_at(crop: Crop, point: Point, reach: float) -> Grip:
    """Return what a press on a point grabs: within `reach` pixels of the edge it scales, inside moves, else turns."""
    distance = _distance(crop, point) - crop.side / 2
    if abs(distance) <= reach:
        return Grip.SCALE
    return Grip.MOVE if distance < 0 else Grip.TURN


def drag(crop: Crop, grip: Grip, start: Point, end: Point) -> Crop:
    """Return the crop after the mouse went from `start` to `end` with this grip."""
    if grip is Grip.MOVE:
        return move(crop, end[0] - start[0], end[1] - start[1])
    if grip is Grip.SCALE:
        before = max(_distance(crop, start), 1.0)
        return scale(crop, _distance(crop, end) / before)
    return replace(crop, roll=_wrapped(crop.roll + _angle(crop, end) - _angle(crop, start)))


def move(crop: Crop, x: float, y: float) -> Crop:
    """Return the crop, moved by `x` and `y` pixels."""
    return replace(crop, center_x=crop.center_x + x, center_y=crop.center_y + y)


def scale(crop: Crop, factor: float) -> Crop:
    """Return the crop, scaled around its middle."""
    return replace(crop, side=max(SMALLEST, crop.side * factor))


def next_face(faces: tuple[Crop, ...], crop: Crop) -> Crop:
    """Return the face after the one nearest to a crop; the largest follows the last. There must be faces."""
    nearest = min(range(len(faces)), key=lambda number: math.dist(_middle(faces[number]), _middle(crop)))
    return faces[(nearest + 1) % len(faces)]


def _middle(crop: Crop) -> Point:
    return crop.center_x, crop.center_y


def _point(crop: Crop, x: float, y: float) -> Point:
    """A place in the crop (its middle is 0, its edges are half) in the picture."""
    cos, sin = math.cos(crop.roll) * crop.side, math.sin(crop.roll) * crop.side
    return crop.center_x + cos * x - sin * y, crop.center_y + sin * x + cos * y


def _distance(crop: Crop, point: Point) -> float:
    """From the middle, as a square measures it: half a side on the edge."""
    cos, sin = math.cos(crop.roll), math.sin(crop.roll)
    x, y = point[0] - crop.center_x, point[1] - crop.center_y
    return max(abs(cos * x + sin * y), abs(cos * y - sin * x))


def _angle(crop: Crop, point: Point) -> float:
    return math.atan2(point[1] - crop.center_y, point[0] - crop.center_x)


def _wrapped(angle: float) -> float:
    """The same angle, from minus half a turn to half a turn."""
    return math.remainder(angle, math.tau)
