# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a plane always face a camera, by a constraint that is known by its name (constraints cannot be tagged)."""

from __future__ import annotations

import bpy

NAME = "EDTalk: Face Camera"


def constraint_of(ob: bpy.types.Object) -> bpy.types.Constraint | None:
    """Return the constraint that turns the object, if there is one."""
    return ob.constraints.get(NAME)


def face_camera(ob: bpy.types.Object, camera: bpy.types.Object) -> None:
    """Turn the plane's front to a camera and keep it upright."""
    constraint = constraint_of(ob) or ob.constraints.new("TRACK_TO")
    constraint.name = NAME
    constraint.target = camera
    constraint.track_axis, constraint.up_axis = "TRACK_NEGATIVE_Y", "UP_Z"


def stop_facing(ob: bpy.types.Object) -> None:
    """End `face_camera`."""
    if (constraint := constraint_of(ob)) is not None:
        ob.constraints.remove(constraint)
