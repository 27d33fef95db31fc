# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: predict a performance, bake it into frames."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from bpy.props import IntProperty, StringProperty

from shared_protocol import paths
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Frame, Prepared

from ..core import takes
from ..core.tasks import Progress, Steps
from ..scene import actions, character, plane, sampling, sound
from . import link
from .operators import TaskOperator, refuse, scene_of

FROM_SCENE = -1
UNSAVED = f"{time.strftime('%Y-%m-%d %H-%M-%S')} {os.getpid()}"
"""Folder of the takes of files that were never saved, for this run of Blender."""
_CHANGED = "Another model runs now: its weights may mean something else"
GROUPS = {"mouth": "Mouth", "pose": "Pose", "expression": "Expression"}


class RangeOperator(TaskOperator):
    """A task on the active character over a frame range."""

    first: IntProperty(name="First frame", description="-1: the scene's", default=FROM_SCENE)
    last: IntProperty(name="Last frame", description="-1: the scene's", default=FROM_SCENE)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not character.is_character(context.object):
            return refuse(cls, "Select a character, or make one")
        if not context.object.is_editable:
            return refuse(cls, "This character is linked from another file: make a library override of it")
        return cls.is_free()

    def frames(self, scene: bpy.types.Scene) -> range:
        """The frames to work on. Raises `EDTalkError` when there are none."""
        first = scene.frame_start if self.first == FROM_SCENE else self.first
        last = scene.frame_end if self.last == FROM_SCENE else self.last
        if last < first:
            raise EDTalkError(
                ErrorCode.EMPTY_RANGE,
                f"The range from frame {first} to {last} holds no frame.",
                "Set a last frame that is not before the first.",
            )
        if first < 0:
            raise EDTalkError(
                ErrorCode.EMPTY_RANGE,
                f"Frame {first} is before frame 0, where pictures cannot be numbered.",
                "Move the shot to frame 0 or later.",
            )
        return range(first, last + 1)


def prepared_source(uid: int, progress: Progress) -> Steps[Prepared]:
    """Let the server encode the character's portrait (it keeps it)."""
    session = link.session()
    bundle = yield from session.ready(progress)
    portrait = character.portrait_bytes(_found(uid))
    prepared = yield from session.prepare(portrait, progress)
    group = _found(uid).edtalk
    if group.source != prepared.source:  # another bundle, or the portrait's file was changed
        rest = np.frombuffer(prepared.weights, "<f4")
        changed = f"{_CHANGED} ({group.bundle} before)" if group.bundle != bundle.title else ""
        notes = [*prepared.notes, changed] if changed else prepared.notes
        character.set_source(_found(uid), prepared.source, bundle.title, bundle.layout, rest, notes)
    return prepared


def _found(uid: int) -> bpy.types.Object:
    ob = character.find(uid)
    if ob is None:
        raise EDTalkError(
            ErrorCode.UNKNOWN_SOURCE,
            "The character was removed meanwhile.",
            "Select another one and begin again.",
        )
    return ob


class Predict(RangeOperator, bpy.types.Operator):
    """Let the character speak the voice: writes F-Curves over the scene's frame range"""

    bl_idname = "edtalk.predict"
    bl_label = "Predict"
    bl_options = {"UNDO"}
    title = "Predict"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if ob is not None and ob.animation_data is not None and ob.animation_data.use_tweak_mode:
            return refuse(cls, "Leave the tweak mode of the NLA first")
        return super().poll(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        uid, scene_uid = context.object.session_uid, context.scene.session_uid
        frames = self.frames(context.scene)
        progress.stage = "Reading the voice"
        yield
        voice = sound.voice_of(_found(uid), scene_of(scene_uid))
        prepared = yield from prepared_source(uid, progress)
        weights = yield from link.session().predict(prepared.source, voice.data, voice.time, frames, progress)
        ob = _found(uid)
        kept = write_performance(ob, frames, weights)
        ob.edtalk.show = "LIVE"
        scene = scene_of(scene_uid)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        return f"{ob.name}: {len(frames)} frames predicted" + (
            f". Your keys are kept in {kept}" if kept else ""
        )


def write_performance(ob: bpy.types.Object, frames: range, weights: np.ndarray) -> str:
    """Turn weights [frames, channels] into grouped F-Curves.

    Keys in the range are replaced. When any key of the weights was made or edited by the artist, the action is kept as
    it was in a copy, whose name is the answer. Raises `EDTalkError` when the action is linked.
    """
    try:
        action = actions.ensure_action(ob, f"EDTalk {ob.name}")
    except PermissionError as error:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The character's action {error} is linked from another file.",
            "Give the character an action of its own, then predict again.",
        ) from error
    paths = [character.data_path(channel) for channel in character.channels_of(ob)]
    before = actions.fingerprint(ob, paths)
    edited = before not in {"", ob.edtalk.predicted}
    kept = actions.keep_copy(action) if edited else ""
    column = 0
    for bank, bases in character.banks_of(ob).items():
        for channel, _name in bases:
            curve = actions.ensure(ob, character.data_path(channel), GROUPS[bank.value])
            actions.write(curve, frames, weights[:, column])
            column += 1
    # keys outside the range that are not ours stay, and must still be seen as the artist's next time
    stays = edited and actions.has_keys_outside(ob, paths, frames)
    ob.edtalk.predicted = "" if stays else actions.fingerprint(ob, paths)
    return kept


@dataclass(frozen=True)
class BakePlan:
    """What a bake has to do: weights [frames, channels] and hashes of all frames, and those that are stale."""

    source: str
    frames: range
    weights: np.ndarray
    hashes: dict[int, str]
    take: takes.Take
    stale: list[int]


class Bake(RangeOperator, bpy.types.Operator):
    """Render all frames that changed into an image sequence, and put it on the plane"""

    bl_idname = "edtalk.bake"
    bl_label = "Bake"
    bl_options = {"UNDO"}
    title = "Bake"

    directory: StringProperty(
        name="Folder",
        description="Where takes go; empty: beside the .blend",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        uid, scene_uid = context.object.session_uid, context.scene.session_uid
        frames = self.frames(context.scene)
        plan = yield from self._plan(uid, scene_uid, frames, progress)
        if plan.stale:
            yield from self._render(plan, progress)
        ob, scene = _found(uid), scene_of(scene_uid)
        first, last = plan.take.span(frames[0])
        plane.show_take(ob, plan.take, first, last)
        plane.follow_view_transform(ob, scene)
        kept = len(frames) - len(plan.stale)
        unsaved = (
            ""
            if bpy.data.filepath or self.directory
            else ". Save the file and bake again to bring them beside it"
        )
        return f"{len(plan.stale)} frames rendered, {kept} still fresh, in {plan.take.folder}{unsaved}"

    def _plan(self, uid: int, scene_uid: int, frames: range, progress: Progress) -> Steps[BakePlan]:
        bundle = yield from link.session().ready(progress)
        prepared = yield from prepared_source(uid, progress)
        weights = yield from sampled_weights(uid, scene_uid, frames, progress)
        hashes = {
            frame: takes.frame_hash(
                bundle.identity, prepared.source, row.tobytes(), prepared.width, prepared.height
            )
            for frame, row in zip(frames, weights, strict=True)
        }
        base = character.absolute(self.directory) if self.directory else default_base()
        take = character.take_for_baking(_found(uid), base)
        return BakePlan(prepared.source, frames, weights, hashes, take, take.stale(hashes))

    def _render(self, plan: BakePlan, progress: Progress) -> Steps[None]:
        rows = [frame - plan.frames[0] for frame in plan.stale]
        plan.take.begin(plan.stale)

        def keep(frame: Frame) -> None:
            plan.take.store(frame.frame, plan.hashes[frame.frame], bytes(frame.data))

        try:
            yield from link.session().render(plan.source, plan.stale, plan.weights[rows], keep, progress)
        finally:
            plan.take.flush()


def sampled_weights(uid: int, scene_uid: int, frames: range, progress: Progress) -> Steps[np.ndarray]:
    """The character's weights over `frames` as the evaluated scene has them, [frames, channels]."""
    progress.stage, progress.total = "Reading the weights", 0
    for weights in sampling.sample(_found(uid), scene_of(scene_uid), frames):
        if weights is not None:
            return weights
        yield
    raise EDTalkError(ErrorCode.EMPTY_RANGE, "There are no frames to read.", "Set another frame range.")


def default_base() -> Path:
    """The folder for takes: beside the .blend, or, while that is not saved, in this user's data folder."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / "edtalk"
    return paths.data_dir() / "unsaved" / UNSAVED


CLASSES = (Predict, Bake)
