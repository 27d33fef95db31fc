# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses of a character at the current frame: read, applied, and keyed on top of its animation.

A key on top of a performance is a change to it, which Blender works out (the slider then shows the value that was set).
Alone it would change the whole shot, so it is set between two keys that hold the change at what it was there: it
reaches as far as the character's `reach` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import bpy
import numpy as np

from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.text.translate import rpt_
from ...core.weights import mirror, mixing
from .. import character
from ..keys import actions, layers

Pose = dict[str, float]
"""Values of some bases by their identifiers."""


@dataclass(frozen=True)
class PoseResult:
    """How many weights were set, how many of them got a key, and the names of those that a driver holds."""

    count: int
    keyed: int = 0
    driven: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = rpt_("{count} weights set", count=self.count)
        if self.keyed:
            text += rpt_(", {count} keyed", count=self.keyed)
        return text + (
            rpt_("; driven ones stay: {names}", names=", ".join(self.driven)) if self.driven else ""
        )


def channels_by_identifier(ob: bpy.types.Object, banks: Iterable[Bank] = Bank) -> dict[str, str]:
    """Return the channel of each basis of some banks, by the basis's identifier."""
    wanted, bases = set(banks), character.layout_of(ob).bases
    pairs = zip(bases, character.channels_of(ob), strict=True)
    return {basis.identifier: channel for basis, channel in pairs if basis.bank in wanted}


# --- poses -----------------------------------------------------------------------------------------------------------


def read_pose(ob: bpy.types.Object, banks: Iterable[Bank] = Bank) -> Pose:
    """Return the pose of the sliders."""
    channels = channels_by_identifier(ob, banks)
    return {identifier: float(getattr(ob.edtalk, channel)) for identifier, channel in channels.items()}


def rest_pose(ob: bpy.types.Object, banks: Iterable[Bank] = Bank) -> Pose:
    """Return the portrait's own pose."""
    return _of_row(ob, character.rest_weights(ob), banks)


def mirror_pose(ob: bpy.types.Object, banks: Iterable[Bank] = Bank) -> Pose:
    """Return the pose of the sliders with left and right swapped.

    Raises `EDTalkError` when the bundle's weights have no names.
    """
    mirroring = mirror.find_mirror(character.layout_of(ob))
    if mirroring is None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "This bundle's weights have numbers for names: nothing tells left from right.",
            "Set the weights by hand, or use a bundle with named weights.",
        )
    return _of_row(ob, mirroring.apply(character.read_weights(ob)), banks)


def preset_pose(ob: bpy.types.Object, name: str) -> Pose:
    """Return one of the bundle's expressions. Raises `EDTalkError` when it has none of that name."""
    presets = mixing.presets_from_json(ob.edtalk.emotion.presets)
    if name not in presets:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The character's bundle has no expression {name!r}.",
            f"Choose one of these: {', '.join(sorted(presets)) or 'none'}.",
        )
    return dict(presets[name])


def _of_row(ob: bpy.types.Object, row: np.ndarray, banks: Iterable[Bank]) -> Pose:
    layout = character.layout_of(ob)
    return {name: float(row[layout.index(name)]) for name in channels_by_identifier(ob, banks)}


# --- setting and keying ----------------------------------------------------------------------------------------------


def apply_pose(ob: bpy.types.Object, scene: bpy.types.Scene, pose: Mapping[str, float]) -> PoseResult:
    """Set the weights of a pose. Animated ones, or all with auto-keying, get a key at the current frame.

    Raises `EDTalkError` when the character's bundle knows none of the pose's names.
    """
    channels = channels_by_identifier(ob)
    known = {channels[name]: value for name, value in pose.items() if name in channels}
    if not known:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "The pose holds no weight that this character has.",
            "It belongs to another bundle: make the pose again with this one.",
        )
    free = _set_channels(ob, known)
    automatic = scene.tool_settings.use_keyframe_insert_auto
    wanted = [channel for channel in free if automatic or is_animated(ob, character.data_path(channel))]
    keyed = insert_keys(ob, scene, [character.data_path(channel) for channel in wanted])
    return PoseResult(len(free), keyed, tuple(sorted(set(known) - set(free))))


def set_weights(ob: bpy.types.Object, pose: Mapping[str, float]) -> None:
    """Set the weights of a pose that the character has, without keys, as a slider does while it is dragged."""
    channels = channels_by_identifier(ob)
    _set_channels(ob, {channels[name]: value for name, value in pose.items() if name in channels})


def _set_channels(ob: bpy.types.Object, values: Mapping[str, float]) -> dict[str, float]:
    """Set the values of channels that no driver holds. Return these."""
    held = _driven(ob)
    free = {channel: value for channel, value in values.items() if character.data_path(channel) not in held}
    for channel, value in free.items():
        setattr(ob.edtalk, channel, value)
    ob.update_tag()
    return free


def set_slider(ob: bpy.types.Object, scene: bpy.types.Scene, name: str, value: float) -> None:
    """Set the slider of an emotion. If it is animated, or with auto-keying, it gets a key."""
    setattr(ob.edtalk.emotion, name, value)
    ob.update_tag()
    path = layers.emotion_path(name)
    if scene.tool_settings.use_keyframe_insert_auto or is_animated(ob, path):
        insert_keys(ob, scene, [path])


def is_animated(ob: bpy.types.Object, path: str) -> bool:
    """Return whether a property has keys on any layer."""
    curve = actions.find(ob, path)
    return curve is not None and len(curve.keyframe_points) > 0


def _driven(ob: bpy.types.Object) -> set[str]:
    return {driver.data_path for driver in ob.animation_data.drivers} if ob.animation_data else set()


def insert_keys(ob: bpy.types.Object, scene: bpy.types.Scene, paths: Iterable[str]) -> int:
    """Insert keys for properties at the current frame. Return how many got a key.

    Raises `EDTalkError` when the object's action is linked from another file.
    """
    frame, reach, looks = scene.frame_current_final, ob.edtalk.writing.reach, layers.weight_paths(ob)
    names, done = list(paths), []
    for path in names:
        before = _Before.of(ob, path, frame, reach)
        if _keyframe(ob, path, looks[path].group if path in looks else "Emotion"):
            before.hold(ob, path)
            done.append(path)
    layers.style_own_curves(ob, done)
    if done:
        ob.update_tag(refresh={"OBJECT", "TIME"})
    return len(done)


def _keyframe(ob: bpy.types.Object, path: str, group: str) -> bool:
    try:
        return bool(ob.keyframe_insert(path, group=group))
    except RuntimeError as error:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"{path} of {ob.name} cannot be keyed ({str(error).strip()}).",
            "Give the object an action of its own that can be changed.",
        ) from error


@dataclass(frozen=True)
class _Before:
    """What a curve on top was like beside the frame where a key is about to be set: (frame, value) to hold it at."""

    points: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, ob: bpy.types.Object, path: str, frame: float, reach: int) -> _Before:
        if not reach or not layers.is_on_top(ob) or not _moves_below(ob, path):
            return cls()
        own = actions.assigned_sheet(ob)
        curve = own.find(path) if own is not None else None
        times = [point.co[0] for point in curve.keyframe_points] if curve is not None else []
        points = []
        for end in (frame - reach, frame + reach):
            between = (min(frame, end), max(frame, end))
            if not any(between[0] <= time <= between[1] and time != frame for time in times):
                points.append((end, curve.evaluate(end) if times and curve is not None else 0.0))
        return cls(tuple(points))

    def hold(self, ob: bpy.types.Object, path: str) -> None:
        own = actions.assigned_sheet(ob)
        curve = own.find(path) if own is not None else None
        for frame, value in self.points if curve is not None else ():
            actions.insert(curve, frame, value)


def _moves_below(ob: bpy.types.Object, path: str) -> bool:
    """Return whether a layer below the object's own action animates the property."""
    own = actions.assigned_sheet(ob)
    return any(sheet != own and sheet.keyed([path]) for sheet in actions.sheets(ob))
