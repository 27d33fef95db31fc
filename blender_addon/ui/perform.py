# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators over a frame range: what they have in common, and baking."""

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
from ..scene import character, plane, sampling
from . import link
from .operators import TaskOperator, refuse, scene_of

FROM_SCENE = -1
UNSAVED = f"{time.strftime('%Y-%m-%d %H-%M-%S')} {os.getpid()}"
"""Folder of the takes of files that were never saved, for this run of Blender."""
_CHANGED = "Another model runs now: its weights may mean something else"


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
    portrait = character.portrait_bytes(found(uid))
    prepared = yield from session.prepare(portrait, progress)
    group = found(uid).edtalk
    if group.source != prepared.source:  # another bundle, or the portrait's file was changed
        rest = np.frombuffer(prepared.weights, "<f4")
        changed = f"{_CHANGED} ({group.bundle} before)" if group.bundle != bundle.title else ""
        notes = [*prepared.notes, changed] if changed else prepared.notes
        character.set_source(found(uid), prepared.source, bundle.title, bundle.layout, rest, notes)
    return prepared


def found(uid: int) -> bpy.types.Object:
    """The character with this `session_uid`. Raises `EDTalkError` when it was removed."""
    ob = character.find(uid)
    if ob is None:
        raise EDTalkError(
            ErrorCode.UNKNOWN_SOURCE,
            "The character was removed meanwhile.",
            "Select another one and begin again.",
        )
    return ob


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
        ob, scene = found(uid), scene_of(scene_uid)
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
        take = character.take_for_baking(found(uid), base)
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
    for weights in sampling.sample(found(uid), scene_of(scene_uid), frames):
        if weights is not None:
            return weights
        yield
    raise EDTalkError(ErrorCode.EMPTY_RANGE, "There are no frames to read.", "Set another frame range.")


def default_base() -> Path:
    """The folder for takes: beside the .blend, or, while that is not saved, in this user's data folder."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / "edtalk"
    return paths.data_dir() / "unsaved" / UNSAVED


CLASSES = (Bake,)
