# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: export an artist's own poses to a text file, and import them, for other shots and version control."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

from shared_protocol.errors import EDTalkError

from ...core.tasks import Progress, Steps
from ...core.text.translate import rpt_
from ...core.weights import poses
from ...scene import paths
from ...scene.poses import pose_assets
from ...scene.references import CharacterRef
from ..runtime.new_file import NewFile, place
from ..runtime.polls import refuse, report_error
from .asset_operators import PoseAssetOperator, save_poses

OFFERED = "poses.json"
HIDDEN = {"HIDDEN", "SKIP_SAVE"}


class ExportPoses(NewFile, bpy.types.Operator):
    """Write the poses that you saved in this .blend into a text file"""

    bl_idname = "edtalk.export_poses"
    bl_label = "Export Poses"
    suffixes = (".json",)

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    check_existing: BoolProperty(default=True, options=HIDDEN)
    filter_glob: StringProperty(default="*.json", options=HIDDEN)

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return pose_assets.has_own() or refuse(cls, "Save a pose first: the file will hold your own poses")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if self.filepath:
            return self.execute(context)
        self.filepath = paths.default_place(OFFERED)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        path = place(self.filepath, OFFERED)
        try:
            own = pose_assets.own_poses()
            poses.write_file(path, own)
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        self.report({"INFO"}, rpt_("{file}: {count} poses", file=path, count=len(own)))
        return {"FINISHED"}


class ImportPoses(PoseAssetOperator, bpy.types.Operator):
    """Add the poses of a text file, with pictures of this face, to the Asset Browser. Existing poses stay"""

    bl_idname = "edtalk.import_poses"
    bl_label = "Import Poses"
    bl_options = {"UNDO"}
    title = "Import Poses"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    filter_glob: StringProperty(default="*.json", options=HIDDEN)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or self.filepath:
            return super().invoke(context, event)
        return self.browse(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ob, path = context.object, paths.absolute(self.filepath)
        imported = poses.read_file(path)
        fitting = pose_assets.compatible_poses(ob, imported)
        new = [
            pose_assets.PoseAsset(pose_assets.asset_name(name), f"A pose from {path.name}", pose, is_own=True)
            for name, pose in pose_assets.new_poses(fitting).items()
        ]
        if new:
            yield from save_poses(CharacterRef.of(ob, context.scene), lambda _: new, progress)
        parts = [rpt_("{count} poses of {file} were added", count=len(new), file=path.name)]
        if existing := len(fitting) - len(new):
            parts.append(rpt_("{count} were there already", count=existing))
        if foreign := len(imported) - len(fitting):
            parts.append(rpt_("{count} are of another bundle", count=foreign))
        return ", ".join(parts)


class PosesMenu(bpy.types.Menu):
    """Your own poses in files"""

    bl_idname = "EDTALK_MT_poses"
    bl_label = "Poses"

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.operator("edtalk.import_poses", icon="IMPORT")
        self.layout.operator("edtalk.export_poses", icon="EXPORT")


CLASSES = (ExportPoses, ImportPoses, PosesMenu)
