# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: which take is shown, and deleting takes that nobody shows.

Deleting touches takes only that this .blend baked, that none of its characters shows, and after a question.
"""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.takes import takes
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import iface_, rpt_
from ...scene import character, plane
from ...scene.takes.take_places import Entry, scanned
from ..runtime import pump
from ..runtime.preferences import preferences
from ..runtime.range_operator import found
from ..runtime.task_operator import TaskOperator, refuse, scene_of
from .take_library import GIGABYTE, words_for

NAMED_TAKES = 8
"""So many are named in the question."""


class UseTake(TaskOperator, bpy.types.Operator):
    """Show this take on the plane"""

    bl_idname = "edtalk.use_take"
    bl_label = "Show Take"
    bl_options = {"UNDO"}
    title = "Show Take"

    folder: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"} | character.PATH_OPTIONS)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not character.is_character(context.object):
            return refuse(cls, "Select a character")
        if not context.object.is_editable:
            return refuse(cls, "This character is linked from another file")
        return cls.is_free()

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        uid, scene_uid, folder = context.object.session_uid, context.scene.session_uid, self.folder
        progress.stage = "Looking at the frames"
        take = yield from time_sliced(takes.Take.opening(character.absolute(folder)))
        there = yield from time_sliced(take.finished())
        yield
        ob, scene = found(uid), scene_of(scene_uid)
        run = takes.run_to_show(there, scene.frame_current)
        if not run:
            raise EDTalkError(ErrorCode.DISK, f"{take.folder} holds no finished frame.", "Bake again.")
        plane.show_take(ob, take, run[0], run[-1])
        plane.follow_view_transform(ob, scene)
        take.touch()
        pump.takes_changed()
        return rpt_("{file}: {count} frames", file=take.folder.name, count=len(run))


class DeletingOperator(TaskOperator):
    """Takes that go, after a question. It cannot be undone, so no undo step pretends to."""

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free()

    def doomed(self, entries: list[Entry]) -> list[takes.Kept]:
        """Which of this file's takes are to go."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked:
            return super().invoke(context, event)
        return self.ask(context, "Delete takes for good?", "Delete")

    def draw(self, _context: bpy.types.Context) -> None:
        column, doomed = self.layout.column(align=True), self.doomed(pump.library().entries)
        for take in doomed[:NAMED_TAKES]:
            column.label(
                text=f"{take.folder.parent.name} / {take.folder.name}: {words_for(take.size)}", icon="TRASH"
            )
        if len(doomed) > NAMED_TAKES:
            more = iface_("and {count} more", count=len(doomed) - NAMED_TAKES)
            column.label(text=more, icon="BLANK1")
        column.label(text="This cannot be undone" if doomed else "There is nothing to delete", icon="INFO")

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        progress.stage = "Looking for takes"
        doomed = self.doomed((yield from time_sliced(scanned())))
        progress.stage, progress.total = "Deleting takes", len(doomed)
        try:
            for progress.done, take in enumerate(doomed):
                yield from time_sliced(takes.Take(take.folder).delete())
        finally:
            pump.takes_changed()
        freed = words_for(sum(take.size for take in doomed))
        return rpt_("{count} takes deleted, {size} freed", count=len(doomed), size=freed)


class DeleteTake(DeletingOperator, bpy.types.Operator):
    """Delete this take's frames from the disk"""

    bl_idname = "edtalk.delete_take"
    bl_label = "Delete Take"
    title = "Delete Take"

    folder: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"} | character.PATH_OPTIONS)

    def doomed(self, entries: list[Entry]) -> list[takes.Kept]:
        folder = character.absolute(self.folder)
        entry = next((one for one in entries if one.take.folder == folder), None)
        if entry is None:
            raise EDTalkError(ErrorCode.DISK, f"{folder} is no take of this file.", "Choose one of the list.")
        if entry.users:
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                f"{', '.join(entry.users)} shows this take.",
                "Show another take first, then delete this one.",
            )
        return [entry.kept]


class PurgeTakes(DeletingOperator, bpy.types.Operator):
    """Delete this file's takes that no character shows"""

    bl_idname = "edtalk.purge_takes"
    bl_label = "Delete Unused Takes"
    title = "Delete Unused Takes"

    to_cap: BoolProperty(
        name="Only for the cap",
        description="Only as many as needed to stay within the room for takes, the longest unused first",
        options={"SKIP_SAVE"},
    )

    def doomed(self, entries: list[Entry]) -> list[takes.Kept]:
        cap = int(preferences().take_cap * GIGABYTE) if self.to_cap else 0
        return takes.too_much((entry.kept for entry in entries), cap)


CLASSES = (UseTake, DeleteTake, PurgeTakes)
