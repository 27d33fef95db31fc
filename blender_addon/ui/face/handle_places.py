# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the handles of a character's face are in a region of the 3D view, and how far the mouse drags them."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
from mathutils import Matrix, Vector

from ...core.weights.face_handles import Face, Handle, Place, Values, handles_of
from ...scene import character, face_points

STEP = 0.01
"""Fractions of the crop by which a place is moved to see how far that is in the view."""
SMALLEST_FACE = 90.0
"""Pixels at scale 1 of a crop's side, as it is seen, below which handles would cover the face."""
EDGE_ON = 1e-3
"""Area of a plane as it is seen, relative to the square of its side, below which nothing can be dragged on it."""
RADIUS, LARGEST_RADIUS, REACH = 0.011, 6.0, 8.0
"""A handle's radius in sides of the crop; the largest, and the distance from a handle at which a press grabs it, in
pixels at scale 1."""


@dataclass(frozen=True)
class Camera:
    """How a region of a 3D view shows the character's plane."""

    region: bpy.types.Region
    view: bpy.types.RegionView3D
    ob: bpy.types.Object

    def to_region(self, place: Place) -> Place | None:
        """Return where a place of the crop is in the region, in pixels; None behind the view."""
        from bpy_extras.view3d_utils import location_3d_to_region_2d

        world = self.ob.matrix_world @ face_points.to_plane(self.ob, place)
        point = location_3d_to_region_2d(self.region, self.view, world)
        return (point.x, point.y) if point is not None else None

    def side(self) -> float:
        """Return the width of the crop as it is seen, in pixels; 0 where it cannot be seen."""
        left, right = self.to_region((0.0, 0.5)), self.to_region((1.0, 0.5))
        return (Vector(right) - Vector(left)).length if left and right else 0.0


@dataclass(frozen=True)
class Picture:
    """A character's face as a region shows it: how it is seen, its landmarks, and the weights that it shows."""

    camera: Camera
    face: Face
    values: Values

    @classmethod
    def of(cls, camera: Camera) -> Picture:
        """Read the character."""
        return cls(camera, face_points.face_of(camera.ob), face_points.shown_values(camera.ob))

    def place(self, handle: Handle, moved: Place = (0.0, 0.0)) -> Place | None:
        """Return where a handle is in the region, in pixels."""
        return self.camera.to_region(self.face.place(handle, self.values, moved))

    def places(self) -> dict[str, Place]:
        """Return where all handles are, by their names; none where the face is too small or seen from its edge."""
        scale = bpy.context.preferences.system.ui_scale
        if self.camera.side() < SMALLEST_FACE * scale:
            return {}
        found = {}
        for handle in handles_of(character.layout_of(self.camera.ob)):
            place = self.place(handle)
            if place is not None:
                found[handle.name] = place
        return found

    def radius(self) -> float:
        """Return the radius of the handles in pixels."""
        scale = bpy.context.preferences.system.ui_scale
        return min(RADIUS * self.camera.side(), LARGEST_RADIUS * scale)

    def to_way(self, handle: Handle) -> Matrix | None:
        """Return the map [2, 2] from ways of the mouse, in pixels, to ways of the handle in fractions of the crop; None
        where the plane is seen from its edge."""
        start, across, down = (self.place(handle, moved) for moved in ((0.0, 0.0), (STEP, 0.0), (0.0, STEP)))
        if start is None or across is None or down is None:
            return None
        x, y = (Vector(end) - Vector(start) for end in (across, down))
        steps = Matrix(((x.x, y.x), (x.y, y.y))) * (1 / STEP)
        is_flat = abs(steps.determinant()) < EDGE_ON * max(self.camera.side(), 1.0) ** 2
        return None if is_flat else steps.inverted()


def nearest(places: dict[str, Place], mouse: Place, reach: float) -> str:
    """Return the name of the handle next to the mouse; empty where none is within reach (pixels)."""
    distances = {name: (Vector(place) - Vector(mouse)).length for name, place in places.items()}
    name = min(distances, key=distances.__getitem__, default="")
    return name if name and distances[name] <= reach else ""


def handle_at(camera: Camera, mouse: Place) -> str:
    """Return the name of the handle under the mouse (pixels of the region); empty where there is none."""
    scale = bpy.context.preferences.system.ui_scale
    return nearest(Picture.of(camera).places(), mouse, REACH * scale)
