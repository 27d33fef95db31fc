# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that touches actions and F-Curves.

Blender 4.2 and 4.3 keep curves in the action; 4.4 brought slots, layers and channel bags and kept the old list as a
proxy; 5.0 removed it. A `Sheet` is what one object uses of an action, whatever the version; callers say which property,
and get a curve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import bpy
import numpy as np

from ...core.tasks import Steps, run_to_end
from ...core.weights.curves import Keys, handles

SLOTTED = bpy.app.version >= (4, 4, 0)
TAG = "edtalk"
"""Custom property of the actions that this add-on made: what they are for."""
PERFORMANCE, EMOTIONS, POSE = "performance", "emotions", "pose"
Color = tuple[float, float, float]
FindCurve = Callable[[], bpy.types.FCurve | None]


@dataclass(frozen=True)
class Sheet:
    """An action as one object uses it: all of a legacy one, one slot of a slotted one."""

    action: bpy.types.Action
    slot: bpy.types.ActionSlot | None = None

    def _bag(self) -> bpy.types.Action | bpy.types.ActionChannelbag | None:
        """What has `fcurves` and `groups`; None when it holds nothing yet."""
        if not SLOTTED:
            return self.action
        if self.slot is None:
            return None
        from bpy_extras import anim_utils

        return anim_utils.action_get_channelbag_for_slot(self.action, self.slot)

    def _ensured_bag(self) -> bpy.types.Action | bpy.types.ActionChannelbag:
        bag = self._bag()
        if bag is not None:
            return bag
        layers = self.action.layers
        layer = layers[0] if layers else layers.new("Layer")
        strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
        return strip.channelbag(self.slot, ensure=True)

    def curves(self) -> list[bpy.types.FCurve]:
        """Return all curves."""
        bag = self._bag()
        return list(bag.fcurves) if bag is not None else []

    def find(self, path: str, index: int = 0) -> bpy.types.FCurve | None:
        """Return the curve of a property, or None."""
        bag = self._bag()
        return bag.fcurves.find(path, index=index) if bag is not None else None

    def ensure(self, path: str, group: str) -> bpy.types.FCurve:
        """Return the curve of a property. Makes it in the named group when it is missing."""
        bag = self._ensured_bag()
        curve = bag.fcurves.find(path, index=0)
        if curve is None:
            curve = bag.fcurves.new(path, index=0)
            curve.group = bag.groups.get(group) or bag.groups.new(group)
        return curve

    def remove(self, paths: Iterable[str]) -> int:
        """Remove the curves of these properties. Return how many there were."""
        bag = self._bag()
        if bag is None:
            return 0
        fcurves = [curve for path in paths if (curve := bag.fcurves.find(path, index=0)) is not None]
        for curve in fcurves:
            bag.fcurves.remove(curve)
        return len(fcurves)

    def keyed(self, paths: Iterable[str]) -> dict[str, bpy.types.FCurve]:
        """Return the curves of these properties that have keys."""
        fcurves = {path: self.find(path) for path in paths}
        return {path: curve for path, curve in fcurves.items() if curve is not None and curve.keyframe_points}

    def span(self) -> tuple[float, float]:
        """Return the first and the last key's frame; 0, 0 for an action without keys."""
        spans = [curve.range() for curve in self.curves() if curve.keyframe_points]
        return min((first for first, _ in spans), default=0.0), max((last for _, last in spans), default=0.0)


def new_sheet(name: str, role: str, ob: bpy.types.Object) -> Sheet:
    """Make an action of ours for an object, which does not play it yet."""
    action = bpy.data.actions.new(name)
    action[TAG] = role
    return Sheet(action, action.slots.new(id_type="OBJECT", name=ob.name) if SLOTTED else None)


def copy_sheet(sheet: Sheet) -> Sheet:
    """Copy a sheet, with its action."""
    action = sheet.action.copy()
    return Sheet(action, action.slots[sheet.slot.identifier] if sheet.slot is not None else None)


def role_of(action: bpy.types.Action | None) -> str:
    """Return what an action of ours is for; empty for the artist's."""
    return str(action.get(TAG, "")) if action is not None else ""


def action_of(ob: bpy.types.Object) -> bpy.types.Action | None:
    """Return the action that is assigned to an object."""
    return ob.animation_data.action if ob.animation_data else None


def assigned_sheet(ob: bpy.types.Object) -> Sheet | None:
    """Return the object's own action, which is on top of its NLA."""
    action = action_of(ob)
    if action is None:
        return None
    return Sheet(action, ob.animation_data.action_slot if SLOTTED else None)


def find_strip_sheet(strip: bpy.types.NlaStrip) -> Sheet | None:
    """Return what a strip of the NLA plays; None for a strip without an action."""
    return strip_sheet(strip) if strip.action is not None else None


def strip_sheet(strip: bpy.types.NlaStrip) -> Sheet:
    """Return what a strip with an action plays."""
    return Sheet(strip.action, strip.action_slot if SLOTTED else None)


def sheets(ob: bpy.types.Object) -> Iterator[Sheet]:
    """Yield all that animates an object, from the top: its own action, then the strips of its NLA."""
    own = assigned_sheet(ob)
    if own is not None:
        yield own
    for track in reversed(ob.animation_data.nla_tracks if ob.animation_data else ()):
        for strip in track.strips:
            sheet = find_strip_sheet(strip)
            if sheet is not None and sheet != own:  # in tweak mode the strip's action is the object's own too
                yield sheet


def curves(ob: bpy.types.Object) -> list[bpy.types.FCurve]:
    """Return all F-Curves that animate an object, from the top."""
    return [curve for sheet in sheets(ob) for curve in sheet.curves()]


def find(ob: bpy.types.Object, path: str, index: int = 0) -> bpy.types.FCurve | None:
    """Return the topmost F-Curve of a property, or None."""
    return next((curve for sheet in sheets(ob) if (curve := sheet.find(path, index)) is not None), None)


def remove(ob: bpy.types.Object, paths: Iterable[str]) -> int:
    """Remove the F-Curves of these properties on all layers. Return how many there were."""
    names = list(paths)
    return sum(sheet.remove(names) for sheet in sheets(ob) if sheet.action.is_editable)


# --- keys ------------------------------------------------------------------------------------------------------------

SELECTION = ("select_control_point", "select_left_handle", "select_right_handle")
KEY_PARTS: dict[str, tuple[type[np.generic], int]] = {
    "co": (np.float32, 2),
    "handle_left": (np.float32, 2),
    "handle_right": (np.float32, 2),
    "interpolation": (np.int32, 1),
    "handle_left_type": (np.int32, 1),
    "handle_right_type": (np.int32, 1),
    **dict.fromkeys(SELECTION, (np.bool_, 1)),
}
"""What makes a key, with its type and size in the bulk calls."""
ALIGNED = 3
"""Blender's number of the handle type that keeps a slope."""
HANDLE_DIGITS = 3
"""Blender aligns handles again whenever it updates a curve, and rounds; an artist moves them further than that."""


def fingerprint(find_sheet: Callable[[], Sheet | None], paths: Iterable[str]) -> Steps[str]:
    """Return a hash of the keys of these properties; empty when there are none. Any edit of a key changes it.

    The sheet is looked up again after each pause; a curve or less is read between two.
    """
    digest, is_keyed = hashlib.sha256(), False
    for path in paths:
        if not (keys := (yield from _reading(_finder(find_sheet, path)))):
            continue
        is_keyed = True
        digest.update(path.encode())
        for part in ("co", "interpolation", "handle_left_type", "handle_right_type"):
            digest.update(keys[part].tobytes())
        for side in ("left", "right"):  # others follow the keys
            own = keys[f"handle_{side}_type"][:, 0] == ALIGNED
            slopes = keys[f"handle_{side}"][own] - keys["co"][own]
            digest.update((np.round(slopes, HANDLE_DIGITS) + 0.0).tobytes())
        yield
    return digest.hexdigest() if is_keyed else ""


def _finder(find_sheet: Callable[[], Sheet | None], path: str) -> FindCurve:
    """Return how to find a sheet's curve of a property again."""

    def find_curve() -> bpy.types.FCurve | None:
        sheet = find_sheet()
        return sheet.find(path) if sheet is not None else None

    return find_curve


def has_keys_outside(sheet: Sheet, paths: Iterable[str], frames: range) -> bool:
    """Return whether these properties have keys before or after `frames`."""
    spans = [curve.range() for curve in sheet.keyed(paths).values()]
    return any(first < frames[0] or last > frames[-1] for first, last in spans)


def copy_for_artist(action: bpy.types.Action) -> str:
    """Copy an action for the artist. Return the copy's name."""
    return give_to_artist(action.copy(), action.name)


def give_to_artist(action: bpy.types.Action, name: str) -> str:
    """Make an action of ours the artist's. Return its new name."""
    action.name = f"{name} (before predicting)"
    action.use_fake_user = True
    if TAG in action:
        del action[TAG]
    return action.name


def write(curve: bpy.types.FCurve, keys: Keys) -> None:
    """Replace the keys in the span of `keys`. Outside, keys and curve stay as they are."""
    run_to_end(write_steps(lambda: curve, keys))


def write_steps(find_curve: Callable[[], bpy.types.FCurve], keys: Keys) -> Steps[None]:
    """The same in steps of one call to Blender each. The curve is looked up again after each pause, because an undo in
    between leaves no reference alive."""
    first, last = float(keys.frames[0]), float(keys.frames[-1])
    _pin(find_curve(), first, last)
    old = yield from _reading(find_curve)
    times = old["co"][:, 0] if old else np.empty(0, np.float32)
    before, after = int((times < first).sum()), int((times > last).sum())
    count, total = len(keys), before + len(keys) + after
    points = find_curve().keyframe_points
    points.clear()
    points.add(total)
    yield
    fresh = _key_parts(keys, (yield from _reading(find_curve)))
    yield
    for part, (kind, size) in KEY_PARTS.items():
        data = np.empty((total, size), kind)
        if old:
            data[:before], data[before + count :] = old[part][:before], old[part][len(times) - after :]
        data[before : before + count] = fresh[part][:count]
        find_curve().keyframe_points.foreach_set(part, data.ravel())
        yield
    find_curve().update()


def insert(curve: bpy.types.FCurve, frame: float, value: float) -> None:
    """Insert a key. Blender keeps the curve's shape elsewhere as well as it can."""
    curve.keyframe_points.insert(frame, value)


def style_curve(curve: bpy.types.FCurve, color: Color) -> None:
    """Give a curve a colour."""
    curve.color_mode, curve.color = "CUSTOM", color


def _pin(curve: bpy.types.FCurve, first: float, last: float) -> None:
    """Insert keys just before and after a span, so that the curve outside stays."""
    if not curve.keyframe_points:
        return
    begin, end = curve.range()
    held = [(frame, curve.evaluate(frame)) for frame in (first - 1, last + 1) if begin < frame < end]
    for frame, value in held:
        key = curve.keyframe_points.insert(frame, value)
        key.select_control_point = key.select_left_handle = key.select_right_handle = False


def _key_parts(keys: Keys, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Write `keys` into `parts`, the arrays of Blender's new keys, and return them. The handles keep the slopes; keys
    without slopes keep Blender's handle types."""
    parts["co"][: len(keys)] = np.stack([keys.frames, keys.values], axis=1)
    parts["handle_left"][: len(keys)], parts["handle_right"][: len(keys)] = handles(keys)
    if keys.slopes is not None:
        parts["handle_left_type"][:] = parts["handle_right_type"][:] = ALIGNED
    for part in SELECTION:  # Blender selects new keys: the next G would move a whole performance
        parts[part][:] = False
    return parts


def _reading(find_curve: FindCurve) -> Steps[dict[str, np.ndarray]]:
    """The keys of a curve, one array [keys, size] for each of `KEY_PARTS`; nothing when it is not there or has none."""
    keys: dict[str, np.ndarray] = {}
    for part, (kind, size) in KEY_PARTS.items():
        curve = find_curve()
        if curve is None or not curve.keyframe_points:
            return {}
        keys[part] = np.empty((len(curve.keyframe_points), size), kind)
        curve.keyframe_points.foreach_get(part, keys[part].ravel())
        yield
    return keys
