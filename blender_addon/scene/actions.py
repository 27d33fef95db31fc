# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that touches actions and F-Curves.

Blender 4.2 and 4.3 keep curves in the action; 4.4 brought slots, layers and channel bags and kept the old list as a
proxy; 5.0 removed it. Callers say which object and which property, and get a curve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import bpy
import numpy as np

SLOTTED = bpy.app.version >= (4, 4, 0)
TAG = "edtalk"
"""Custom property that marks the actions that this add-on made."""


def action_of(ob: bpy.types.Object) -> bpy.types.Action | None:
    """The action that is assigned to an object."""
    return ob.animation_data.action if ob.animation_data else None


def is_ours(action: bpy.types.Action) -> bool:
    """Was this action made by this add-on?"""
    return bool(action.get(TAG))


def ensure_action(ob: bpy.types.Object, name: str) -> bpy.types.Action:
    """The action to write into: the assigned one (the artist's curves in it stay), or a new one of ours.

    An action of ours that several objects share is copied first, so that no other character changes. Raises
    `PermissionError` when the assigned action is linked from another file.
    """
    data = ob.animation_data or ob.animation_data_create()
    action = data.action
    if action is None:
        action = bpy.data.actions.new(name)
        action[TAG] = True
        data.action = action
    elif not action.is_editable:
        raise PermissionError(action.name)
    elif is_ours(action) and action.users - action.use_fake_user > 1:
        action = data.action = action.copy()
    return action


def _legacy_curves(ob: bpy.types.Object) -> bpy.types.bpy_prop_collection | None:
    action = action_of(ob)
    return action.fcurves if action else None


def _slotted_curves(ob: bpy.types.Object) -> bpy.types.bpy_prop_collection | None:
    from bpy_extras import anim_utils

    data = ob.animation_data
    if not data or not data.action or not data.action_slot:
        return None
    bag = anim_utils.action_get_channelbag_for_slot(data.action, data.action_slot)
    return bag.fcurves if bag else None


def curves(ob: bpy.types.Object) -> list[bpy.types.FCurve]:
    """All F-Curves that act on an object through its action."""
    found = _slotted_curves(ob) if SLOTTED else _legacy_curves(ob)
    return list(found) if found is not None else []


def find(ob: bpy.types.Object, path: str, index: int = 0) -> bpy.types.FCurve | None:
    """The F-Curve of a property, if it has one."""
    found = _slotted_curves(ob) if SLOTTED else _legacy_curves(ob)
    return found.find(path, index=index) if found is not None else None


def ensure(ob: bpy.types.Object, path: str, group: str) -> bpy.types.FCurve:
    """The F-Curve of a property, made when missing, in the named group. The object must have an action."""
    curve = find(ob, path)
    if curve is not None:
        return curve
    action = ob.animation_data.action
    if not SLOTTED:
        return action.fcurves.new(path, index=0, action_group=group)
    curve = action.fcurve_ensure_for_datablock(ob, path, index=0)
    _put_in_group(ob, curve, group)
    return curve


def _put_in_group(ob: bpy.types.Object, curve: bpy.types.FCurve, name: str) -> None:
    from bpy_extras import anim_utils

    data = ob.animation_data
    bag = anim_utils.action_get_channelbag_for_slot(data.action, data.action_slot)
    curve.group = bag.groups.get(name) or bag.groups.new(name)


def remove(ob: bpy.types.Object, paths: Iterable[str]) -> int:
    """Remove the F-Curves of these properties; how many there were."""
    found = _slotted_curves(ob) if SLOTTED else _legacy_curves(ob)
    if found is None:
        return 0
    doomed = [curve for path in paths if (curve := found.find(path, index=0)) is not None]
    for curve in doomed:
        found.remove(curve)
    return len(doomed)


def _keyed(ob: bpy.types.Object, paths: Iterable[str]) -> dict[str, bpy.types.FCurve]:
    """The curves of these properties that have keys."""
    found = {path: find(ob, path) for path in paths}
    return {path: curve for path, curve in found.items() if curve is not None and len(curve.keyframe_points)}


def fingerprint(ob: bpy.types.Object, paths: Iterable[str]) -> str:
    """What the keys of these properties are like; empty when there are none. Any edit of a key changes it."""
    curves = _keyed(ob, paths)
    digest = hashlib.sha256()
    for path, curve in curves.items():
        digest.update(path.encode())
        keys = _read_keys(curve)
        for part in EDITED_PARTS:
            digest.update(keys[part].tobytes())
    return digest.hexdigest() if curves else ""


def has_keys_outside(ob: bpy.types.Object, paths: Iterable[str], frames: range) -> bool:
    """Have these properties keys before or after `frames`?"""
    spans = [curve.range() for curve in _keyed(ob, paths).values()]
    return any(first < frames[0] or last > frames[-1] for first, last in spans)


def keep_copy(action: bpy.types.Action) -> str:
    """Keep an action as it is in a copy that belongs to the artist; the copy's name."""
    copy = action.copy()
    copy.name = f"{action.name} (before predicting)"
    copy.use_fake_user = True
    if is_ours(copy):
        del copy[TAG]
    return copy.name


EDITED_PARTS = ("co", "interpolation", "handle_left_type", "handle_right_type")
"""What changes when somebody edits a key (handles that are dragged change their type; others follow the keys)."""
KEY_PARTS = {
    "co": (np.float32, 2),
    "handle_left": (np.float32, 2),
    "handle_right": (np.float32, 2),
    "interpolation": (np.int32, 1),
    "handle_left_type": (np.int32, 1),
    "handle_right_type": (np.int32, 1),
}
"""What makes a key, with its type and size in the bulk calls."""


def write(curve: bpy.types.FCurve, frames: Sequence[int] | np.ndarray, values: np.ndarray) -> None:
    """Set keys at whole frames (rising) to `values`. Keys outside the span of `frames` stay as they are."""
    fresh = np.stack([np.asarray(frames, np.float32), np.asarray(values, np.float32)], axis=1)
    old = _read_keys(curve)
    times = old["co"][:, 0]
    outside = (times < fresh[0, 0]) | (times > fresh[-1, 0])
    kept = int(outside.sum())
    curve.keyframe_points.clear()
    curve.keyframe_points.add(kept + len(fresh))
    for part, data in _read_keys(curve).items():
        data[:kept] = old[part][outside]
        if data.dtype == np.float32:
            data[kept:] = fresh
        curve.keyframe_points.foreach_set(part, data.ravel())
    curve.update()


def _read_keys(curve: bpy.types.FCurve) -> dict[str, np.ndarray]:
    """The keys of a curve, one array [keys, size] for each of `KEY_PARTS`."""
    keys = {}
    for part, (kind, size) in KEY_PARTS.items():
        keys[part] = np.empty((len(curve.keyframe_points), size), kind)
        curve.keyframe_points.foreach_get(part, keys[part].ravel())
    return keys
