# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""What operators over a frame range share."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Prepared

from ...core.server import events
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import n_
from ...scene import character, portrait_crop
from ...scene.references import CharacterRef
from ..selection import edited_characters
from . import portrait_requests, runtime
from .polls import refuse
from .task_operator import TaskOperator

FROM_SCENE = -1
"""In place of a frame: the scene's first or last one."""
_CHANGED = n_("Another model runs now ({0} before): its weights may mean something else")


class RangeOperator(TaskOperator):
    """Mix-in: a task on the active character over a frame range."""

    is_for_each = False
    """Whether in the window it is done for each of the selected characters, one after the other."""

    first: IntProperty(name="First frame", description="-1: the scene's", default=FROM_SCENE)
    last: IntProperty(name="Last frame", description="-1: the scene's", default=FROM_SCENE)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not character.is_character(context.object):
            return refuse(cls, "Select a character, or make one")
        if not context.object.is_editable:
            return refuse(cls, "This character is linked from another file: make a library override of it")
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        others = edited_characters(context)[1:] if self.is_for_each and not bpy.app.background else []
        answer = super().invoke(context, event)
        for ob in others:
            self._repeat(ob)
        return answer

    def _repeat(self, ob: bpy.types.Object) -> None:
        """Do the same on another character: it waits in line."""
        with bpy.context.temp_override(object=ob, active_object=ob, selected_objects=[ob]):
            if self.poll(bpy.context):
                self.start_again()

    def frames(self, scene: bpy.types.Scene) -> range:
        """Return the frames to work on. Raises `EDTalkError` when there are none, or one below 0."""
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


def prepare_source(ref: CharacterRef, progress: Progress) -> Steps[Prepared]:
    """Let the server encode the character's portrait (which it keeps), and note on the character what it said."""
    bundle = yield from runtime.session().ready(progress)
    portrait, *further = yield from time_sliced(character.prepared_content(ref.get_character()))
    crop = portrait_crop.crop_of(ref.get_character())
    prepared = yield from portrait_requests.prepare(portrait, crop, progress, further)
    ob = ref.get_character()
    portrait_crop.remember_prepared(ob, prepared)
    if ob.edtalk.source != prepared.source:  # another bundle, or the portrait's file was changed
        rest, before = events.weights_of(prepared)[0], ob.edtalk.bundle
        changed = [_CHANGED.format(before)] if before != bundle.title else []
        notes = [*prepared.notes, *changed]
        character.set_source(ob, prepared.source, bundle.title, bundle.layout, rest, notes)
    character.set_presets(ob, bundle.presets)
    return prepared
