# SPDX-License-Identifier: GPL-3.0-or-later
"""A plane that always faces a camera: one constraint, known by its name, which constraints keep in place of a tag."""

from __future__ import annotations

import bpy

NAME = "EDTalk: Face Camera"


def constraint_of(ob: bpy.types.Object) -> bpy.types.Constraint | None:
    """The constraint that turns the object, if there is one."""
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
