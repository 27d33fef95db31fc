# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: bake the changed frames of a character, of a range, or of all characters."""

from __future__ import annotations

from dataclasses import replace

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError

from ...core.tasks import Progress, Steps
from ...core.text.translate import rpt_
from ...scene import paths
from ...scene.keys import layers
from ...scene.references import CharacterRef
from ...scene.takes import take_places
from ..runtime import runtime
from ..runtime.polls import is_not_tweaking, refuse
from ..runtime.range_operator import RangeOperator
from .bake import BakeRequest, BakeResult, bake, bake_each, bakeable


class BakeOperator(RangeOperator):
    """What all ways to bake have in common."""

    directory: StringProperty(
        name="Folder",
        description="Where takes go. Empty: beside the .blend",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"} | paths.PATH_OPTIONS,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and is_not_tweaking(cls, context)

    def request(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> BakeRequest:
        """Return what to bake of a character."""
        base = paths.absolute(self.directory) if self.directory else take_places.default_base()
        return BakeRequest(CharacterRef.of(ob, scene), self.frames(scene), base)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        result = yield from bake(self.request(context.object, context.scene), progress)
        result.show()
        progress.result = result.facts
        return result.summary + self.unsaved_hint()

    def unsaved_hint(self) -> str:
        """Return a hint about frames of a file that was never saved."""
        if bpy.data.filepath or self.directory:
            return ""
        return f". {rpt_('Save the file and bake again to bring them beside it')}"


class Bake(BakeOperator, bpy.types.Operator):
    """Render the frames of the scene's range that changed, and put them on the plane"""

    bl_idname = "edtalk.bake"
    bl_label = "Bake Changes"
    bl_options = {"UNDO"}
    title = "Bake"
    is_for_each = True


class BakeRange(BakeOperator, bpy.types.Operator):
    """Bake a part of the shot, or the same frames once more"""

    bl_idname = "edtalk.bake_range"
    bl_label = "Bake Range"
    bl_options = {"UNDO"}
    title = "Bake"

    again: BoolProperty(
        name="Fresh frames too",
        description="Render all frames of the range, also those that did not change",
        options={"SKIP_SAVE"},
    )
    new_take: BoolProperty(
        name="Into a new take",
        description="Keep the take as it is. Frames that did not change are copied",
        options={"SKIP_SAVE"},
    )

    def request(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> BakeRequest:
        return replace(super().request(ob, scene), again=self.again, new_take=self.new_take)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked:
            return super().invoke(context, event)
        scene = context.scene
        preview = scene.use_preview_range
        self.first = scene.frame_preview_start if preview else scene.frame_start
        self.last = scene.frame_preview_end if preview else scene.frame_end
        return self.ask(context)

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.use_property_split = True
        for name in ("first", "last", "again", "new_take"):
            column.prop(self, name)


class BakeAll(BakeOperator, bpy.types.Operator):
    """Render the frames that changed, of every character in the scene"""

    bl_idname = "edtalk.bake_all"
    bl_label = "Bake All Characters"
    bl_options = {"UNDO"}
    title = "Bake"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bakeable(context.scene):
            return refuse(cls, "The scene has no character that can be baked here: make one, or an override")
        tweaked = next(filter(layers.is_tweaking, bakeable(context.scene)), None)
        if tweaked is not None:
            return refuse(
                cls,
                "The prediction of {name} is being edited: switch Layer to Tweaks first",
                name=tweaked.name,
            )
        return cls.is_free()

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        requests = [self.request(ob, context.scene) for ob in bakeable(context.scene)]
        results, failures = list[BakeResult](), list[EDTalkError]()
        for request in requests:
            try:
                results += yield from bake_each([request], progress)
            except EDTalkError as error:  # the others can still be baked
                failures.append(error)
        if failures and not results:
            raise failures[0]
        for result in results:
            result.show()
        if failures:
            runtime.session().failure = failures[0].cause, failures[0].fix
        rendered = sum(result.rendered for result in results)
        summary = rpt_("{count} characters: {frames} frames rendered", count=len(results), frames=rendered)
        return summary + self.unsaved_hint()


CLASSES = (Bake, BakeRange, BakeAll)
