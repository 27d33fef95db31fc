# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash of what makes a character's frame, from curves and settings alone, without stepping the scene.

It computes the frame's weights as Blender would: each track of the NLA adds what the strip that acts there says, and
the object's own action lies on top. So a frame's signature changes when its own weights do, and a key elsewhere leaves
it alone. Neither the file nor the evaluated scene changes, which a bake alone may step. Drivers depend on anything,
which is why their outcome is left to the bake (see `has_drivers`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
import numpy.typing as npt

from shared_protocol.emotions import EMOTIONS, Mixer, Weights

from ...core.takes import OLD_SIZE
from ...core.weights import mixing
from .. import character, paths, portrait_crop
from . import actions

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

PREFIX = "edtalk."
BAKE_SETTINGS = ("framing", "alpha", "encoding")
DIGITS = 5
"""Digits after the point to which weights count: less is no difference in a picture."""
OPAQUE_SETTINGS = (
    "frame_start",
    "frame_end",
    "blend_type",
    "extrapolation",
    "influence",
    "blend_in",
    "blend_out",
)
"""What counts of strips that are computed by Blender alone: transitions, and meta strips."""


def has_drivers(ob: bpy.types.Object) -> bool:
    """Return whether any of the character's weights is driven."""
    return bool(_driven(ob))


def _driven(ob: bpy.types.Object) -> set[str]:
    data = ob.animation_data
    found = [driver.data_path for driver in data.drivers] if data is not None else []
    return {path for path in found if path.startswith(PREFIX)}


class Signature:
    """The signatures of a character as it is now. Make a new one for each look: it holds references to curves."""

    def __init__(self, ob: bpy.types.Object) -> None:
        self._sliders = _Sliders.of(ob)
        self._stack = _Stack.of(ob, self._sliders)
        self._fixed = hashlib.sha256(repr(_settings(ob)).encode())

    def at(self, frame: int) -> str:
        """Return the signature of a frame."""
        digest = self._fixed.copy()
        values, unknown = self._stack.at(frame)
        mixed = np.round(self._sliders.mix(values), DIGITS) + np.float32(0.0)
        digest.update(mixed.tobytes() + unknown)
        return digest.hexdigest()[:16]


def _settings(ob: bpy.types.Object) -> tuple[object, ...]:
    """Return what all frames of a character depend on beside its weights."""
    group = ob.edtalk
    bake = [getattr(group.bake, name) for name in BAKE_SETTINGS]
    if group.bake.framing == "FACE" and group.bake.size != OLD_SIZE:  # what was baked before stays as it is
        bake.append(group.bake.size)
    return group.source, group.bundle, _portrait(ob), bake, *_further(ob)


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


def _further(ob: bpy.types.Object) -> list[tuple[str, int]]:
    """Name and size of further pictures' files. None, as before there were any, where there are none."""
    found = [path for path in (paths.file_of(ob, name) for name in paths.ALSO) if path is not None]
    return [(path.name, path.stat().st_size if path.is_file() else 0) for path in found]


# --- sliders ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Sliders:
    """All that a frame's weights depend on: the paths in order, their defaults and present values [paths], and how they
    are mixed. A driven one counts with its default, whatever it is just now."""

    index: Mapping[str, int]
    defaults: Floats
    present: Floats
    mixer: Mixer
    channels: int

    @classmethod
    def of(cls, ob: bpy.types.Object) -> _Sliders:
        """Return a character's."""
        group, names = ob.edtalk, character.channels_of(ob)
        present = {character.data_path(name): getattr(group, name) for name in names}
        present |= character.mixing_settings(ob)
        defaults = {path: _default(group, path) for path in present}
        present |= {path: defaults[path] for path in _driven(ob) & present.keys()}
        mixer = mixing.mixer_from_texts(group.layout, group.rest, group.emotion.presets)
        return cls(
            {path: number for number, path in enumerate(present)},
            np.array(list(defaults.values())),
            np.array(list(present.values())),
            mixer,
            len(names),
        )

    def mix(self, values: Floats) -> Weights:
        """Return the weights to render, float32 [channels], for the sliders' values (see `character.final_weights`)."""
        weights, rest = values[: self.channels], values[self.channels :]
        gains, felt, strength = (
            rest[: -len(EMOTIONS) - 1],
            rest[-len(EMOTIONS) - 1 : -1],
            rest[-1],
        )
        parts = (part.astype(np.float32) for part in (weights, gains, felt * strength))
        return self.mixer.mix(*parts)


def _default(group: bpy.types.PropertyGroup, path: str) -> float:
    """Return the default of a path's property: what Blender blends keys with."""
    *groups, name = path.removeprefix(PREFIX).split(".")
    for inner in groups:
        group = getattr(group, inner)
    return float(group.bl_rna.properties[name].default)


# --- layers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Curves:
    """The curves of some sliders: their numbers, and the curves."""

    indices: Indices
    curves: Sequence[bpy.types.FCurve]

    @classmethod
    def of(cls, sheet: actions.Sheet | None, sliders: _Sliders) -> _Curves:
        """Return those of a sheet that are not muted."""
        curves = sheet.curves() if sheet is not None else []
        used = [curve for curve in curves if curve.data_path in sliders.index and not curve.mute]
        indices = np.array([sliders.index[curve.data_path] for curve in used], np.intp)
        return cls(indices, used)

    def at(self, time: float) -> Floats:
        """Return their values, [curves]."""
        return np.array([curve.evaluate(time) for curve in self.curves], np.float64)


@dataclass(frozen=True, eq=False)
class _Stack:
    """Everything that animates a character, from the bottom: tracks of the NLA, then the object's own action."""

    start: Floats
    defaults: Floats
    tracks: Sequence[Sequence[_Strip]]
    own: _Own

    @classmethod
    def of(cls, ob: bpy.types.Object, sliders: _Sliders) -> _Stack:
        """Return a character's."""
        data = ob.animation_data
        tracks = [] if data is None or not data.use_nla else list(_acting_tracks(data, sliders))
        own, start = _Own.of(ob, sliders), sliders.present.copy()
        for curves in (own.curves, *(strip.curves for track in tracks for strip in track)):
            start[curves.indices] = sliders.defaults[curves.indices]
        return cls(start, sliders.defaults, tracks, own)

    def at(self, frame: int) -> tuple[Floats, bytes]:
        """Return the values of all sliders at a frame, and what is not known of them."""
        values, unknown = self.start.copy(), b""
        for track in self.tracks:
            found = _acting(track, frame)
            if found is not None:
                strip, inside = found
                unknown += strip.blend_into(values, self.defaults, inside)
        self.own.blend_into(values, self.defaults, frame)
        return values, unknown


@dataclass(frozen=True, eq=False)
class _Own:
    """The object's own action. Blender leaves it out where a track is soloed, and takes it as it is where no track has
    a strip."""

    curves: _Curves
    blend_type: str = "REPLACE"
    influence: float = 1.0
    span: tuple[float, float] = (-math.inf, math.inf)
    is_left_out: bool = False

    @classmethod
    def of(cls, ob: bpy.types.Object, sliders: _Sliders) -> _Own:
        """Return an object's."""
        data, sheet = ob.animation_data, _own_sheet(ob)
        curves = _Curves.of(sheet, sliders)
        if data is None or sheet is None:
            return cls(curves)
        span = sheet.span() if data.action_extrapolation == "NOTHING" else (-math.inf, math.inf)
        tracks = [track for track in data.nla_tracks if not track.mute] if data.use_nla else []
        if not any(len(track.strips) for track in tracks):
            return cls(curves)
        solo = any(track.is_solo for track in tracks)
        return cls(curves, data.action_blend_type, data.action_influence, span, solo)

    def blend_into(self, values: Floats, defaults: Floats, frame: int) -> None:
        """Blend the action's values over those below."""
        if not self.is_left_out and self.span[0] <= frame <= self.span[1]:
            above = self.curves.at(frame)
            _blend(values, defaults, self.curves.indices, above, self.blend_type, self.influence)


class _Strip:
    """One strip of the NLA."""

    def __init__(self, strip: bpy.types.NlaStrip, sliders: _Sliders) -> None:
        sheet = actions.find_strip_sheet(strip)
        self.start, self.end = strip.frame_start, strip.frame_end
        self.extrapolation, self.is_muted = strip.extrapolation, strip.mute
        self.curves = _Curves.of(sheet, sliders)
        self._blend_type, self._influence = strip.blend_type, _influence(strip)
        self._time = _local_time(strip)
        self._opaque = b"" if sheet is not None else repr(_opaque(strip)).encode()

    def blend_into(self, values: Floats, defaults: Floats, frame: float) -> bytes:
        """Blend the strip's values at a frame inside it over those below. Return what is not known of them."""
        if self._opaque:
            return self._opaque + repr(frame).encode()
        if (influence := self._influence(frame)) > 0.0:
            found = self.curves.at(self._time(frame))
            _blend(values, defaults, self.curves.indices, found, self._blend_type, influence)
        return b""


def _blend(
    values: Floats, defaults: Floats, indices: Indices, above: Floats, blend_type: str, influence: float
) -> None:
    """Blend the values `above` over those below at `indices`, in place, as Blender's NLA does."""
    below = values[indices]
    match blend_type:
        case "ADD":
            values[indices] = below + above * influence
        case "SUBTRACT":
            values[indices] = below - above * influence
        case "MULTIPLY":
            values[indices] = below * (1.0 + influence * (above - 1.0))
        case "COMBINE":
            values[indices] = below + (above - defaults[indices]) * influence
        case _:
            values[indices] = below + (above - below) * influence


def _acting_tracks(data: bpy.types.AnimData, sliders: _Sliders) -> Iterator[list[_Strip]]:
    """Yield the tracks that play: not muted, and only the soloed ones where there are any."""
    solo = any(track.is_solo for track in data.nla_tracks)
    for track in data.nla_tracks:
        if not track.mute and (track.is_solo or not solo):
            yield [_Strip(strip, sliders) for strip in track.strips]


def _acting(track: Sequence[_Strip], frame: float) -> tuple[_Strip, float] | None:
    """Return the strip of a track that acts at a frame, and the frame inside it; None where none does.

    Between strips the one before holds, after the last one that one, and before the first one that one.
    """
    before = [strip for strip in track if strip.start <= frame]
    strip = before[-1] if before else track[0] if track else None
    if strip is None or strip.is_muted:
        return None
    holds = {"HOLD", "HOLD_FORWARD"} if before else {"HOLD"}
    inside = min(max(frame, strip.start), strip.end)
    return (strip, inside) if inside == frame or strip.extrapolation in holds else None


def _influence(strip: bpy.types.NlaStrip) -> Callable[[float], float]:
    """Return how to find a strip's influence at a frame: animated, set, or with its ends blended in and out."""
    if strip.use_animated_influence:
        curve, fixed = strip.fcurves.find("influence"), strip.influence
        if curve is None or not curve.keyframe_points:
            return lambda _frame: fixed
        return lambda frame: curve.evaluate(frame)
    start, end, begin, finish = strip.frame_start, strip.frame_end, strip.blend_in, strip.blend_out

    def ramps(frame: float) -> float:
        if begin > 0 and frame <= start + begin:
            return (frame - start) / begin
        if finish > 0 and frame >= end - finish:
            return (end - frame) / finish
        return 1.0

    return ramps


def _opaque(strip: bpy.types.NlaStrip) -> tuple[object, ...]:
    """Return the settings of a strip that plays no action of its own, with those that it is made of."""
    inner = [_opaque(child) for child in getattr(strip, "strips", ())]
    return (strip.type, [getattr(strip, name) for name in OPAQUE_SETTINGS], inner)


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
