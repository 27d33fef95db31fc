# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators on pose assets: make them, and apply one from the Asset Browser or the 3D view's asset shelf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
from bpy.props import EnumProperty, StringProperty

from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import character
from ...scene.poses import pose_assets, posing
from ...scene.references import CharacterRef
from ..runtime import portrait_requests
from ..runtime.polls import has_editable_character, refuse
from ..runtime.range_operator import prepare_source
from ..runtime.task_operator import TaskOperator
from ..weights.weight_operators import PoseOperator

if TYPE_CHECKING:
    from bpy.types import AssetShelf
else:
    AssetShelf = bpy.types.AssetShelf

HIDDEN = {"HIDDEN", "SKIP_SAVE"}
Poses = Callable[[bpy.types.Object], Sequence[pose_assets.PoseAsset]]
"""Returns the poses to make of a character."""


class PoseAssetOperator(TaskOperator):
    """Mix-in: a task that makes pose assets."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context):
            return False
        if not bpy.data.filepath:
            return refuse(cls, "Save the file first: the list of asset catalogs is written beside it")
        return cls.is_free()


class MakePoseAssets(PoseAssetOperator, bpy.types.Operator):
    """Add a pose for each weight and expression of the bundle, with a picture of this face, to the Asset Browser"""

    bl_idname = "edtalk.make_pose_assets"
    bl_label = "Make Pose Assets"
    bl_options = {"UNDO"}
    title = "Make Pose Assets"

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        count = yield from save_poses(
            CharacterRef.of(context.object, context.scene), pose_assets.bundle_poses, progress
        )
        return rpt_(
            "{count} poses are in the Asset Browser (in a catalog once the file is saved and opened again)",
            count=count,
        )


class SavePose(PoseAssetOperator, bpy.types.Operator):
    """Save the pose of the sliders, with a picture of this face, in the Asset Browser"""

    bl_idname = "edtalk.keep_pose"
    bl_label = "Save Pose"
    bl_options = {"UNDO"}
    title = "Save Pose"

    name: StringProperty(
        name="Name", description="What the Asset Browser calls it", default="Pose", options={"SKIP_SAVE"}
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.asked and not bpy.app.background:
            return self.ask(context, confirm="Save")
        return super().invoke(context, event)

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.prop(self, "name")

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ob, name = context.object, pose_assets.asset_name(self.name)
        own = pose_assets.PoseAsset(name, f"A pose of {ob.name}", posing.read_pose(ob), is_own=True)
        yield from save_poses(CharacterRef.of(ob, context.scene), lambda _: [own], progress)
        return rpt_(
            "{name} is in the Asset Browser (in a catalog once the file is saved and opened again)", name=name
        )


def save_poses(ref: CharacterRef, poses: Poses, progress: Progress) -> Steps[int]:
    """Let the server draw a character in these poses, and save them as assets. Return how many there are.

    `poses` is called once the server is ready, because they may be those of its bundle.
    """
    prepared = yield from prepare_source(ref, progress)
    wanted, pictured = poses(ref.get_character()), []
    for number, asset in enumerate(wanted):
        weights = pose_assets.weights_of(ref.get_character(), asset.pose)
        frame = yield from portrait_requests.draw(prepared.source, weights, progress)
        progress.stage, progress.done, progress.total = "Making pictures of poses", number, len(wanted)
        pictured.append((asset, pose_assets.make_thumbnail(frame.width, frame.height, bytes(frame.pixels))))
    progress.stage, progress.total = "Writing keys", 0
    yield from time_sliced(
        pose_assets.save_assets(ref.get_character(), pictured, Path(bpy.data.filepath).parent)
    )
    _refresh_browsers()
    return len(wanted)


def _refresh_browsers() -> None:
    """Refresh open Asset Browsers."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.ui_type == "ASSETS":
                with bpy.context.temp_override(window=window, area=area):
                    if bpy.ops.asset.library_refresh.poll():
                        bpy.ops.asset.library_refresh()


class ApplyPose(PoseOperator, bpy.types.Operator):
    """Apply this pose to the selected character. Animated weights get keys at this frame"""

    bl_idname = "edtalk.apply_pose"
    bl_label = "Apply to Character"

    action: StringProperty(
        name="Action", description="A pose asset of this file. Empty: the active asset", options={"SKIP_SAVE"}
    )
    # set by the asset shelf: which asset was clicked
    asset_library_type: EnumProperty(
        items=[
            (item.identifier, item.name, "", item.value)
            for item in bpy.types.AssetWeakReference.bl_rna.properties["asset_library_type"].enum_items
        ],
        options=HIDDEN,
    )
    asset_library_identifier: StringProperty(options=HIDDEN)
    relative_asset_identifier: StringProperty(options=HIDDEN)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_for_each(
            context, lambda ob: posing.apply_pose(ob, context.scene, self._pose(context))
        )

    def _pose(self, context: bpy.types.Context) -> posing.Pose:
        asset = getattr(context, "asset", None)
        if self.action or (asset is None and self.relative_asset_identifier):
            file, inside, name = self.relative_asset_identifier.partition(".blend/Action/")
            if self.action or not inside:  # an asset of this file; its name may contain slashes
                name = self.action or file.removeprefix("Action/")
                return pose_assets.pose_of_action(bpy.data.actions.get(name))
            return pose_assets.pose_of_file(self._library(f"{file}.blend"), name)
        return pose_assets.pose_of_asset(asset) if asset is not None else pose_assets.pose_of_action(None)

    def _library(self, inside: str) -> str:
        """Return the path of a file in the asset library that the shelf named."""
        libraries = bpy.context.preferences.filepaths.asset_libraries
        library = libraries.get(self.asset_library_identifier)
        return str(Path(library.path if library else "") / inside)


class PoseShelf(AssetShelf):
    """The poses at the lower edge of the 3D view, while a character is active."""

    bl_idname = "EDTALK_AST_poses"
    bl_space_type = "VIEW_3D"
    bl_activate_operator = ApplyPose.bl_idname
    bl_drag_operator = ApplyPose.bl_idname
    bl_default_preview_size = 64
    filter_action = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.mode == "OBJECT" and character.is_character(getattr(context, "object", None))

    @classmethod
    def asset_poll(cls, asset: bpy.types.AssetRepresentation) -> bool:
        return pose_assets.is_ours(asset)

    @classmethod
    def draw_context_menu(
        cls, _context: bpy.types.Context, _asset: bpy.types.AssetRepresentation, layout: bpy.types.UILayout
    ) -> None:
        layout.operator(ApplyPose.bl_idname)


def draw_in_browser(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """Draw an entry in the Asset Browser's context menu, on one of our poses."""
    if pose_assets.is_ours(getattr(context, "asset", None)):
        self.layout.separator()
        self.layout.operator(ApplyPose.bl_idname)


CLASSES = (MakePoseAssets, SavePose, ApplyPose, PoseShelf)


def register() -> None:
    bpy.types.ASSETBROWSER_MT_context_menu.append(draw_in_browser)


def unregister() -> None:
    bpy.types.ASSETBROWSER_MT_context_menu.remove(draw_in_browser)
