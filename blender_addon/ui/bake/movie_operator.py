# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: export the baked frames and the voice as a movie."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Movie
from shared_protocol.timebase import TimeBase

from ...core import takes
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import character, paths
from ...scene.references import CharacterRef
from ...scene.speech import sound
from ..runtime import runtime
from ..runtime.new_file import NewFile, place
from ..runtime.polls import refuse
from ..runtime.task_operator import TaskOperator


class ExportMovie(NewFile, TaskOperator, bpy.types.Operator):
    """Write the baked frames with the voice as a movie, at the scene's frame rate"""

    bl_idname = "edtalk.export_movie"
    bl_label = "Export Movie"
    title = "Export Movie"
    suffixes = (".mp4", ".mov", ".mkv")

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    check_existing: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not character.is_character(context.object):
            return refuse(cls, "Select a character")
        if not context.object.edtalk.take:
            return refuse(cls, "Bake first: a movie is made from baked frames")
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.filepath:
            return super().invoke(context, event)
        self.filepath = paths.default_place(_default_name(context.object))
        return self.browse(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ref = CharacterRef.of(context.object, context.scene)
        output = place(self.filepath, _default_name(context.object))
        yield from runtime.session().ready(progress)
        progress.unit = "fps"
        folder = paths.file_of(ref.get_character(), "take")
        take, frames = yield from time_sliced(_baked_part(folder, ref.get_scene()))
        ob, scene = ref.get_character(), ref.get_scene()
        render = scene.render
        timing = TimeBase.from_blender(render.fps, render.fps_base, frames[0])
        with tempfile.TemporaryDirectory(prefix="edtalk-") as temporary:
            voice, offset = _voice(ob, scene, frames, Path(temporary))
            request = Movie(
                folder=str(take.folder),
                pattern=f"%04d.{take.format.encoding}",
                first=frames[0],
                last=frames[-1],
                fps_numerator=timing.fps.numerator,
                fps_denominator=timing.fps.denominator,
                sound=str(voice or ""),
                sound_offset=offset,
                output=str(output),
                cut_out=take.format.cut_out and not take.format.alpha,
            )
            progress.begin("Writing the movie", len(frames))
            yield from runtime.session().run(request, progress)
        message = rpt_("{file}: {count} frames", file=output, count=len(frames))
        return message if voice else f"{message}, {rpt_('without sound')}"


def _default_name(ob: bpy.types.Object) -> str:
    """Return the name of a character's movie unless the user chooses another."""
    return f"{takes.folder_name(ob.name)}.mp4"


def _baked_part(folder: Path | None, scene: bpy.types.Scene) -> Steps[tuple[takes.Take, range]]:
    """Return the take, and the part of the scene's range that is baked in it.

    Raises `EDTalkError` where there is none, or where frames in the middle are missing.
    """
    wanted, runs = range(scene.frame_start, scene.frame_end + 1), list[range]()
    if folder is not None:
        take = yield from takes.Take.open_in_steps(folder)
        runs = takes.runs((yield from take.finished()).intersection(wanted))
    if not runs:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            f"No frame from {wanted[0]} to {wanted[-1]} is baked.",
            "Press Bake Changes, then export again.",
        )
    if len(runs) > 1:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            f"Frame {runs[0][-1] + 1} is not baked, and others may be missing too.",
            "Press Bake Changes, then export again.",
        )
    return take, runs[0]


def _voice(
    ob: bpy.types.Object, scene: bpy.types.Scene, frames: range, folder: Path
) -> tuple[Path | None, float]:
    """Return the sound's file (None without a voice), and the second of the movie at which it begins."""
    group = ob.edtalk
    if group.voice_from == "FILE" and not group.voice:
        return None, 0.0
    voice = sound.voice_of(ob, scene, folder, frames, for_people=True)
    return voice.path, -voice.time.seconds(frames[0])


CLASSES = (ExportMovie,)
