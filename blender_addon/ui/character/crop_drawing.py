# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the portrait and its crop are in a 3D view, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import NamedTuple

import bpy

from shared_protocol.messages import Crop

from ...core import crop_box
from ...core.crop_box import Point

FILLING = 0.92
"""Part of the free room that the picture fills."""
DIM, LINE, SHADE = (0.05, 0.05, 0.05, 0.8), (1.0, 0.75, 0.25, 1.0), (0.0, 0.0, 0.0, 0.7)
"""Colours (RGBA): of the darkened view, of the crop's lines, and of the shade around these."""


class Room(NamedTuple):
    """A rectangle in a region, in its pixels; y upwards."""

    left: int
    low: int
    right: int
    high: int


def free_room(area: bpy.types.Area, region: bpy.types.Region) -> Room:
    """Return the part of a region that is not covered by the sidebar and other regions."""
    room = [0, 0, region.width, region.height]
    for other in area.regions:
        left, low = other.x - region.x, other.y - region.y
        right, high = left + other.width, low + other.height
        is_over = other.type != "WINDOW" and min(other.width, other.height) > 1
        if not is_over or right <= 0 or high <= 0 or left >= region.width or low >= region.height:
            continue
        match other.alignment:
            case "LEFT":
                room[0] = max(room[0], right)
            case "BOTTOM":
                room[1] = max(room[1], high)
            case "RIGHT":
                room[2] = min(room[2], left)
            case "TOP":
                room[3] = min(room[3], low)
    return Room(*room)


@dataclass(frozen=True)
class Fit:
    """Where a picture is in a region: its left top corner, and `scale` region pixels for each of its own."""

    left: float
    top: float
    scale: float

    @classmethod
    def into(cls, room: Room, picture: tuple[int, int]) -> Fit:
        """Fit a picture into the middle of a room, as large as possible."""
        width, height = max(room.right - room.left, 1), max(room.high - room.low, 1)
        scale = FILLING * min(width / picture[0], height / picture[1])
        middle = (room.left + room.right) / 2, (room.low + room.high) / 2
        return cls(middle[0] - picture[0] * scale / 2, middle[1] + picture[1] * scale / 2, scale)

    def to_region(self, point: Point) -> Point:
        """Return where a point of the picture is in the region."""
        return self.left + point[0] * self.scale, self.top - point[1] * self.scale

    def to_picture(self, point: Point) -> Point:
        """Return where a point of the region is in the picture."""
        return (point[0] - self.left) / self.scale, (self.top - point[1]) / self.scale


def draw(image: bpy.types.Image, crop: Crop, fit: Fit, region: bpy.types.Region) -> None:
    """Draw the picture with its crop over a darkened region."""
    _draw_picture(image, fit, tuple(image.size), (region.width, region.height))
    box = [fit.to_region(corner) for corner in crop_box.corners(crop)]
    mark = [fit.to_region(end) for end in crop_box.top_mark(crop)]
    for color, width in ((SHADE, 4.0), (LINE, 1.8)):
        _draw_line([*box, box[0]], color, width)
        _draw_line(mark, color, width)


def _draw_picture(image: bpy.types.Image, fit: Fit, size: tuple[int, int], region: tuple[int, int]) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader
    from gpu_extras.presets import draw_texture_2d

    gpu.state.blend_set("ALPHA")
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", DIM)
    batch_for_shader(shader, "TRI_STRIP", {"pos": _strip((0, region[1]), (region[0], 0))}).draw(shader)
    # before 5.0 some views were sRGB targets, which encode what is drawn over them
    encodes = "is_scene_linear_with_rec709_srgb_target" not in signature(draw_texture_2d).parameters
    options = {} if encodes else {"is_scene_linear_with_rec709_srgb_target": True}
    low = fit.to_region((0, size[1]))
    draw_texture_2d(gpu.texture.from_image(image), low, size[0] * fit.scale, size[1] * fit.scale, **options)
    gpu.state.blend_set("NONE")


def _strip(left_top: Point, right_bottom: Point) -> list[Point]:
    """Return a rectangle's corners as a strip of triangles."""
    (left, top), (right, bottom) = left_top, right_bottom
    return [(left, top), (right, top), (left, bottom), (right, bottom)]


def _draw_line(points: list[Point], color: tuple[float, float, float, float], width: float) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    gpu.state.blend_set("ALPHA")
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", width * bpy.context.preferences.system.ui_scale)
    shader.uniform_float("color", color)
    places = [(x, y, 0.0) for x, y in points]
    batch_for_shader(shader, "LINE_STRIP", {"pos": places}).draw(shader)
    gpu.state.blend_set("NONE")
