# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash of what makes a character's frame, from curves and settings alone, without stepping the scene.

A signature is no weight: it only changes when something that makes the frame changes. So the NLA need not be computed
here; it is enough that each strip that acts at a frame adds its settings and the values of its curves there. Drivers
depend on anything, which is why their outcome is left to the bake (see `has_drivers`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator

import bpy
import numpy as np

from .. import character, paths, portrait_crop
from . import actions

PREFIX = "edtalk."
STRIP_SETTINGS = (
    "frame_start",
    "frame_end",
    "action_frame_start",
    "action_frame_end",
    "repeat",
    "scale",
    "use_reverse",
    "blend_type",
    "extrapolation",
    "influence",
    "blend_in",
    "blend_out",
    "use_animated_influence",
    "use_animated_time",
    "use_animated_time_cyclic",
)
BAKE_SETTINGS = ("framing", "alpha", "encoding")


def has_drivers(ob: bpy.types.Object) -> bool:
    """Return whether any of the character's weights is driven."""
    data = ob.animation_data
    return data is not None and any(driver.data_path.startswith(PREFIX) for driver in data.drivers)


class Signature:
    """The signatures of a character as it is now. Make a new one for each look: it holds references to curves."""

    def __init__(self, ob: bpy.types.Object) -> None:
        data = ob.animation_data
        self._curves = _ours(_own_sheet(ob))
        self._strips = [] if data is None or not data.use_nla else list(_strips(data))
        self._fixed = hashlib.sha256(repr(self._settings(ob)).encode())

    def at(self, frame: int) -> str:
        """Return the signature of a frame."""
        digest = self._fixed.copy()
        digest.update(_values(self._curves, frame))
        for strip in self._strips:
            digest.update(strip.at(frame))
        return digest.hexdigest()[:16]

    def _settings(self, ob: bpy.types.Object) -> tuple[object, ...]:
        group, data = ob.edtalk, ob.animation_data
        animated = {curve.data_path for curve in self._curves}
        animated.update(curve.data_path for strip in self._strips for curve in strip.curves)
        sliders = {character.data_path(name): getattr(group, name) for name in character.channels_of(ob)}
        sliders |= character.mixing_settings(ob)
        still = [(path, value) for path, value in sliders.items() if path not in animated]
        bake = [getattr(group.bake, name) for name in BAKE_SETTINGS]
        top = (data.action_blend_type, data.action_influence, data.action_extrapolation) if data else ()
        return group.source, group.bundle, _portrait(ob), still, bake, top


def _portrait(ob: bpy.types.Object) -> tuple[object, ...]:
    """Name and size of the portrait's file, and the crop: enough to notice another one, and the same when the folder is
    moved."""
    crop, image = portrait_crop.crop_of(ob), ob.edtalk.picture.image
    if image is not None:
        return image.name, tuple(image.size), crop
    path = paths.file_of(ob, "portrait")
    try:
        return (path.name, path.stat().st_size, crop) if path is not None else ("", 0, crop)
    except OSError:
        return "", 0, crop


def _own_sheet(ob: bpy.types.Object) -> actions.Sheet | None:
    """Return the object's own action, also in tweak mode, where Blender has put it aside."""
    data = ob.animation_data
    if data is None or not data.use_tweak_mode:
        return actions.assigned_sheet(ob)
    action = data.action_tweak_storage
    if action is None or not actions.SLOTTED:
        return actions.Sheet(action) if action is not None else None
    # 4.4 does not tell it: there, the first one
    handle = getattr(data, "action_slot_handle_tweak_storage", None)
    slot = next((slot for slot in action.slots if handle in {slot.handle, None}), None)
    return actions.Sheet(action, slot) if slot is not None else None


def _ours(sheet: actions.Sheet | None) -> list[bpy.types.FCurve]:
    curves = sheet.curves() if sheet is not None else []
    return [curve for curve in curves if curve.data_path.startswith(PREFIX) and not curve.mute]


def _values(curves: list[bpy.types.FCurve], frame: float) -> bytes:
    return np.array([curve.evaluate(frame) for curve in curves], np.float32).tobytes()


class _Strip:
    """One strip of the NLA that plays an action."""

    def __init__(self, strip: bpy.types.NlaStrip, curves: list[bpy.types.FCurve]) -> None:
        self.curves = curves
        self._settings = tuple(getattr(strip, name) for name in STRIP_SETTINGS)
        self._words = repr(self._settings).encode()
        self._controls = list(strip.fcurves)
        self._start, self._end = strip.frame_start, strip.frame_end
        self._before = strip.extrapolation == "HOLD"
        self._after = strip.extrapolation in {"HOLD", "HOLD_FORWARD"}
        self._time = _local_time(strip)

    def at(self, frame: int) -> bytes:
        """Return what the strip adds to a frame's hash; nothing where it does not act."""
        inside = min(max(frame, self._start), self._end)
        if (frame < self._start and not self._before) or (frame > self._end and not self._after):
            return b""
        return self._words + _values(self._controls, frame) + _values(self.curves, self._time(inside))


def _local_time(strip: bpy.types.NlaStrip) -> Callable[[float], float]:
    """Return how to find the frame of a strip's action that plays at a frame of the scene."""
    first, last, start = strip.action_frame_start, strip.action_frame_end, strip.frame_start
    scale, reverse = abs(strip.scale) or 1.0, strip.use_reverse
    length = last - first
    if strip.use_animated_time and len(strip.fcurves):
        clock = strip.fcurves.find("strip_time")
        if clock is not None:
            return lambda frame: clock.evaluate(frame)

    def time(frame: float) -> float:
        played = (frame - start) / scale
        if length > 0 and played > length:  # a repetition; its very end is the action's end
            played = math.fmod(played, length) or length
        return last - played if reverse else first + played

    return time


def _strips(data: bpy.types.AnimData) -> Iterator[_Strip]:
    """Yield the strips that act: not muted, and only of soloed tracks where there is one."""
    solo = any(track.is_solo for track in data.nla_tracks)
    for track in data.nla_tracks:
        if track.mute or (solo and not track.is_solo):
            continue
        for strip in track.strips:
            if strip.action is not None and not strip.mute:
                curves = _ours(actions.find_strip_sheet(strip))
                if curves:
                    yield _Strip(strip, curves)
