# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: an artist's own poses to a file and from one, for other shots, other people and version control."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError

from ...core.tasks import Progress, Steps
from ...core.text.translate import rpt_
from ...core.weights import poses
from ...scene import character
from ...scene.poses import pose_assets
from ..new_file import NewFile, place
from ..runtime.task_operator import refuse, report_error
from .pose_assets import PoseAssetOperator, kept

OFFERED = "poses.json"
HIDDEN = {"HIDDEN", "SKIP_SAVE"}


class ExportPoses(NewFile, bpy.types.Operator):
    """Write the poses that you kept in this file into a text file"""

    bl_idname = "edtalk.export_poses"
    bl_label = "Export Poses"
    suffixes = (".json",)

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | character.PATH_OPTIONS)
    check_existing: BoolProperty(default=True, options=HIDDEN)
    filter_glob: StringProperty(default="*.json", options=HIDDEN)

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return pose_assets.has_own() or refuse(cls, "Save a pose first: the file will hold your own poses")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if self.filepath:
            return self.execute(context)
        self.filepath = character.beside(OFFERED)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        path = place(self.filepath, OFFERED)
        try:
            found = pose_assets.own_poses()
            poses.write_file(path, found)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        self.report({"INFO"}, rpt_("{file}: {count} poses", file=path, count=len(found)))
        return {"FINISHED"}


class ImportPoses(PoseAssetOperator, bpy.types.Operator):
    """Put the poses of a file, with pictures of this face, into the Asset Browser; those that are there already stay"""

    bl_idname = "edtalk.import_poses"
    bl_label = "Import Poses"
    bl_options = {"UNDO"}
    title = "Import Poses"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | character.PATH_OPTIONS)
    filter_glob: StringProperty(default="*.json", options=HIDDEN)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or self.filepath:
            return super().invoke(context, event)
        return self.browse(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ob, path = context.object, character.absolute(self.filepath)
        given = poses.read_file(path)
        fitting = pose_assets.fitting(ob, given)
        wanted = [
            pose_assets.PoseAsset(pose_assets.called(name), f"A pose from {path.name}", pose, is_own=True)
            for name, pose in pose_assets.missing(fitting).items()
        ]
        if wanted:
            yield from kept(ob.session_uid, lambda _: wanted, progress)
        said = [rpt_("{count} poses of {file} were added", count=len(wanted), file=path.name)]
        if there := len(fitting) - len(wanted):
            said.append(rpt_("{count} were there already", count=there))
        if foreign := len(given) - len(fitting):
            said.append(rpt_("{count} are of another bundle", count=foreign))
        return ", ".join(said)


class PosesMenu(bpy.types.Menu):
    """Your own poses in files"""

    bl_idname = "EDTALK_MT_poses"
    bl_label = "Poses"

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.operator("edtalk.import_poses", icon="IMPORT")
        self.layout.operator("edtalk.export_poses", icon="EXPORT")


CLASSES = (ExportPoses, ImportPoses, PosesMenu)
