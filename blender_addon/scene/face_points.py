# SPDX-License-Identifier: GPL-3.0-or-later
"""Where points of the portrait's face are on the character's plane."""

from __future__ import annotations

import math
from functools import lru_cache

import bpy
from mathutils import Vector

from ..core.weights import layouts, mixing
from ..core.weights.face_handles import Face, Place, usable
from . import character, portrait_crop


def face_of(ob: bpy.types.Object) -> Face:
    """Return the portrait's landmarks and its own weights."""
    return _face(portrait_crop.landmarks(ob), ob.edtalk.layout, ob.edtalk.rest)


@lru_cache(maxsize=32)
def _face(landmarks: tuple[float, ...], layout: str, rest: str) -> Face:
    bases = layouts.layout_from_json(layout).bases
    values = mixing.rest_from_json(rest, len(bases))
    names = (basis.identifier for basis in bases)
    return Face(usable(landmarks), dict(zip(names, map(float, values), strict=True)))


def shown_values(ob: bpy.types.Object) -> dict[str, float]:
    """Return the weights that are shown, with gains and emotions, by their identifiers."""
    bases = character.layout_of(ob).bases
    return {
        basis.identifier: float(value)
        for basis, value in zip(bases, character.final_weights(ob), strict=True)
    }


def slider_values(ob: bpy.types.Object) -> dict[str, float]:
    """Return the weights of the sliders by their identifiers."""
    bases = character.layout_of(ob).bases
    return {
        basis.identifier: float(value) for basis, value in zip(bases, character.read_weights(ob), strict=True)
    }


def to_plane(ob: bpy.types.Object, place: Place) -> Vector:
    """Return where a place of the crop (fractions from its left top) is on the plane, in the object's own space."""
    x, y = _in_portrait(ob, place) if ob.edtalk.bake.framing == "FULL" else place
    low, high = ob.bound_box[0], ob.bound_box[6]
    return Vector(
        (
            low[0] + x * (high[0] - low[0]),
            (low[1] + high[1]) / 2,
            high[2] - y * (high[2] - low[2]),
        )
    )


def _in_portrait(ob: bpy.types.Object, place: Place) -> Place:
    """Return a place of the crop in fractions of the whole portrait."""
    inspected = portrait_crop.seen(ob)
    if inspected is None or not inspected.width or not inspected.height:
        return place
    crop = portrait_crop.crop_of(ob) or inspected.crop
    x, y = (place[0] - 0.5) * crop.side, (place[1] - 0.5) * crop.side
    cos, sin = math.cos(crop.roll), math.sin(crop.roll)
    across, down = crop.center_x + cos * x - sin * y, crop.center_y + sin * x + cos * y
    return across / inspected.width, down / inspected.height
