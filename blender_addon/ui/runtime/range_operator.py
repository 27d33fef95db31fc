# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""What operators over a frame range have in common."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Prepared

from ...core.server import events
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import n_
from ...scene import character, portrait_crop
from . import portrait_requests, pump
from .task_operator import TaskOperator, refuse

FROM_SCENE = -1
_CHANGED = n_("Another model runs now ({0} before): its weights may mean something else")


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
    bundle = yield from pump.session().ready(progress)
    portrait = yield from time_sliced(character.portrait_content(found(uid)))
    crop = portrait_crop.crop_of(found(uid))
    prepared = yield from portrait_requests.prepare(portrait, crop, progress)
    portrait_crop.remember_prepared(found(uid), prepared)
    group = found(uid).edtalk
    if group.source != prepared.source:  # another bundle, or the portrait's file was changed
        rest = events.weights_of(prepared)[0]
        changed = _CHANGED.format(group.bundle) if group.bundle != bundle.title else ""
        notes = [*prepared.notes, changed] if changed else prepared.notes
        character.set_source(found(uid), prepared.source, bundle.title, bundle.layout, rest, notes)
    character.set_presets(found(uid), bundle.presets)
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
