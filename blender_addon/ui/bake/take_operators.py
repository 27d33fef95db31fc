# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: show another take, and delete takes.

Deleting asks first, and touches only takes that this .blend baked and that none of its characters shows.
"""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode

from ...core import takes
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import iface_, rpt_
from ...scene import paths, plane
from ...scene.references import CharacterRef
from ...scene.takes.take_places import Entry, scan_takes
from ..runtime.polls import has_editable_character
from ..runtime.preferences import take_limit
from ..runtime.task_operator import TaskOperator
from ..sidebar import format_bytes
from .take_library import LIBRARY, takes_changed

NAMED_TAKES = 8
"""The question lists at most this many takes."""


class UseTake(TaskOperator, bpy.types.Operator):
    """Show this take on the plane"""

    bl_idname = "edtalk.use_take"
    bl_label = "Show Take"
    bl_options = {"UNDO"}
    title = "Show Take"

    folder: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_editable_character(cls, context) and cls.is_free()

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ref, folder = CharacterRef.of(context.object, context.scene), self.folder
        progress.stage = "Looking at the frames"
        take = yield from time_sliced(takes.Take.open_in_steps(paths.absolute(folder)))
        finished = yield from time_sliced(take.finished())
        yield
        ob, scene = ref.get_character(), ref.get_scene()
        run = takes.run_to_show(finished, scene.frame_current)
        if not run:
            raise EDTalkError(ErrorCode.DISK, f"{take.folder} holds no finished frame.", "Bake again.")
        plane.show_take(ob, take, run[0], run[-1])
        plane.follow_view_transform(ob, scene)
        take.touch()
        takes_changed()
        return rpt_("{file}: {count} frames", file=take.folder.name, count=len(run))


class DeletingOperator(TaskOperator):
    """Mix-in: delete takes after a question. There is no undo step, because files on disk do not come back."""

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free()

    def to_delete(self, entries: list[Entry]) -> list[takes.TakeUsage]:
        """Return those of this file's takes that are to be deleted."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked:
            return super().invoke(context, event)
        return self.ask(context, "Delete takes for good?", "Delete")

    def draw(self, _context: bpy.types.Context) -> None:
        column, to_delete = self.layout.column(align=True), self.to_delete(LIBRARY.entries)
        for take in to_delete[:NAMED_TAKES]:
            column.label(
                text=f"{take.folder.parent.name} / {take.folder.name}: {format_bytes(take.size)}",
                icon="TRASH",
            )
        if len(to_delete) > NAMED_TAKES:
            more = iface_("and {count} more", count=len(to_delete) - NAMED_TAKES)
            column.label(text=more, icon="BLANK1")
        column.label(text="This cannot be undone" if to_delete else "There is nothing to delete", icon="INFO")

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        progress.stage = "Looking for takes"
        to_delete = self.to_delete((yield from time_sliced(scan_takes())))
        progress.stage, progress.total = "Deleting takes", len(to_delete)
        try:
            for progress.done, take in enumerate(to_delete):
                yield from time_sliced(takes.Take(take.folder).delete())
        finally:
            takes_changed()
        freed = format_bytes(sum(take.size for take in to_delete))
        return rpt_("{count} takes deleted, {size} freed", count=len(to_delete), size=freed)


class DeleteTake(DeletingOperator, bpy.types.Operator):
    """Delete this take's frames from the disk"""

    bl_idname = "edtalk.delete_take"
    bl_label = "Delete Take"
    title = "Delete Take"

    folder: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)

    def to_delete(self, entries: list[Entry]) -> list[takes.TakeUsage]:
        folder = paths.absolute(self.folder)
        entry = next((candidate for candidate in entries if candidate.take.folder == folder), None)
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
        description="Only as many as needed to stay within the room for takes, the least recently used first",
        options={"SKIP_SAVE"},
    )

    def to_delete(self, entries: list[Entry]) -> list[takes.TakeUsage]:
        return takes.choose_to_delete((entry.kept for entry in entries), take_limit() if self.to_cap else 0)


CLASSES = (UseTake, DeleteTake, PurgeTakes)
