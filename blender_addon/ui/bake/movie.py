# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: the baked frames and the voice as a movie file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Movie
from shared_protocol.timebase import TimeBase

from ...core.takes import takes
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import character
from ...scene.speech import sound
from ..new_file import NewFile, place
from ..runtime import pump
from ..runtime.range_operator import found
from ..runtime.task_operator import TaskOperator, refuse, scene_of


class ExportMovie(NewFile, TaskOperator, bpy.types.Operator):
    """Write the baked frames with the voice as a movie, at the scene's frame rate"""

    bl_idname = "edtalk.export_movie"
    bl_label = "Export Movie"
    title = "Export Movie"
    suffixes = (".mp4", ".mov", ".mkv")

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | character.PATH_OPTIONS)
    check_existing: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not character.is_character(context.object):
            return refuse(cls, "Select a character")
        if not context.object.edtalk.take:
            return refuse(cls, "Bake first: a movie is made of baked frames")
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.filepath:
            return super().invoke(context, event)
        self.filepath = character.beside(_offered(context.object))
        return self.browse(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        uid, scene_uid = context.object.session_uid, context.scene.session_uid
        output = place(self.filepath, _offered(context.object))
        yield from pump.session().ready(progress)
        progress.unit = "fps"
        ob, scene = found(uid), scene_of(scene_uid)
        take, frames = yield from time_sliced(_frames(character.file_of(ob, "take"), scene))
        ob, scene = found(uid), scene_of(scene_uid)
        render = scene.render
        timing = TimeBase.from_blender(render.fps, render.fps_base, frames[0])
        with tempfile.TemporaryDirectory(prefix="edtalk-") as folder:
            voice, offset = _voice(ob, scene, frames, Path(folder))
            request = Movie(
                folder=str(take.folder),
                pattern=f"%04d.{take.look.encoding}",
                first=frames[0],
                last=frames[-1],
                fps_numerator=timing.fps.numerator,
                fps_denominator=timing.fps.denominator,
                sound=str(voice or ""),
                sound_offset=offset,
                output=str(output),
            )
            progress.begin("Writing the movie", len(frames))
            yield from pump.session().run(request, progress)
        said = rpt_("{file}: {count} frames", file=output, count=len(frames))
        return said if voice else f"{said}, {rpt_('without sound')}"


def _offered(ob: bpy.types.Object) -> str:
    """What its movie is called unless another name is chosen."""
    return f"{takes.folder_name(ob.name)}.mp4"


def _frames(folder: Path | None, scene: bpy.types.Scene) -> Steps[tuple[takes.Take, range]]:
    """The take, and the part of the scene's range that is baked in it. Raises `EDTalkError` where there is none."""
    wanted, runs = range(scene.frame_start, scene.frame_end + 1), list[range]()
    if folder is not None:
        take = yield from takes.Take.opening(folder)
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
            f"Frame {runs[0][-1] + 1} is not baked, and others may miss too.",
            "Press Bake Changes, then export again.",
        )
    return take, runs[0]


def _voice(
    ob: bpy.types.Object, scene: bpy.types.Scene, frames: range, folder: Path
) -> tuple[Path | None, float]:
    """The sound's file, and the second of the movie at which it begins; no file for a character without a voice."""
    group = ob.edtalk
    if group.voice_from == "FILE" and not group.voice:
        return None, 0.0
    voice = sound.voice_of(ob, scene, folder, frames, for_people=True)
    return voice.path, -voice.time.seconds(frames[0])


CLASSES = (ExportMovie,)
