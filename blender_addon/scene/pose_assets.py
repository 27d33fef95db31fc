# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses as assets: actions of one frame, with a picture, in the current file's asset library.

Blender's own pose library is for armatures, so it cannot apply them; `ui.pose_assets` does. What a pose holds stands in
the action as text with the bases' identifiers, so that it fits characters of other bundles too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from shared_protocol.errors import EDTalkError, ErrorCode

from ..core import catalogs, mixing, poses
from ..core.curves import dense
from . import actions, character, layers, posing

POSE, LABEL = "edtalk_pose", "edtalk_pose_name"
"""Custom properties of the actions: the pose as text, and what one of the bundle was called when it was made."""
CATALOG = ASSET_TAG = "EDTalk"
LARGEST = 128
"""Pixels of a preview's side at most: sixty larger ones would make the file heavy."""


@dataclass(frozen=True)
class PoseAsset:
    """A pose to be kept: its name, the sentence that explains it, the values, and whether it is the artist's own."""

    name: str
    description: str
    pose: posing.Pose
    is_own: bool = False


@dataclass(frozen=True)
class Picture:
    """Raw RGBA, rows bottom-up."""

    width: int
    height: int
    pixels: bytes


def poses_of(ob: bpy.types.Object) -> list[PoseAsset]:
    """The poses that a bundle offers: its expressions, and each basis at the end of its range (both ends, where it has
    two)."""
    presets = mixing.presets_from_json(ob.edtalk.emotion.presets)
    found = [
        PoseAsset(name.capitalize(), f"The expression {name}", dict(pose))
        for name, pose in sorted(presets.items())
        if pose
    ]
    for basis in character.layout_of(ob).bases:
        found.append(PoseAsset(basis.name, basis.description, {basis.identifier: basis.maximum}))
        if basis.minimum < 0:
            opposite = f"The opposite of {basis.name}"
            found.append(PoseAsset(f"{basis.name} -", opposite, {basis.identifier: basis.minimum}))
    return found


def weights_of(ob: bpy.types.Object, pose: posing.Pose) -> np.ndarray:
    """The portrait in a pose, float32 [channels]."""
    row, layout = character.rest_weights(ob), character.layout_of(ob)
    for identifier, value in pose.items():
        row[layout.index(identifier)] = value
    return row


def keep(ob: bpy.types.Object, found: Sequence[tuple[PoseAsset, Picture]], folder: Path) -> None:
    """Put poses into the current file as assets, in our catalog, which is listed in `folder`. The bundle's
    that were made before are made anew; an artist's own takes no other's place."""
    catalogs.add(folder, catalogs.EDTALK, CATALOG)
    known = {
        action.get(LABEL): action for action in bpy.data.actions if actions.role_of(action) == actions.POSE
    }
    for asset, picture in found:
        _keep(ob, asset, picture, None if asset.is_own else known.get(asset.name))


def _keep(ob: bpy.types.Object, asset: PoseAsset, picture: Picture, old: bpy.types.Action | None) -> None:
    if old is not None:
        bpy.data.actions.remove(old)
    sheet, looks = actions.new_sheet(asset.name, actions.POSE, ob), layers.weight_paths(ob)
    channels = posing.channels_by_identifier(ob)
    for identifier, value in asset.pose.items():
        path = character.data_path(channels[identifier])
        actions.write(sheet.ensure(path, looks[path].group), dense(1, [value]))
    action = sheet.action
    action[POSE] = poses.to_text(asset.pose)
    if not asset.is_own:
        action[LABEL] = asset.name
    action.asset_mark()
    action.asset_data.description = asset.description
    action.asset_data.catalog_id = catalogs.EDTALK
    action.asset_data.tags.new(ASSET_TAG, skip_if_exists=True)
    _show(action, picture)


def _show(action: bpy.types.Action, picture: Picture) -> None:
    """Give the asset its preview."""
    step = -(-max(picture.width, picture.height) // LARGEST)
    pixels = np.frombuffer(picture.pixels, np.uint8).reshape(picture.height, picture.width, 4)
    small = np.ascontiguousarray(pixels[step // 2 :: step, step // 2 :: step], np.float32) / np.float32(255)
    preview = action.preview_ensure()
    preview.image_size = small.shape[1], small.shape[0]
    preview.image_pixels_float.foreach_set(small.ravel())


# --- reading ---------------------------------------------------------------------------------------------------------


def is_ours(asset: bpy.types.AssetRepresentation | None) -> bool:
    """Is this asset a pose of ours, in whatever library?"""
    return asset is not None and asset.id_type == "ACTION" and ASSET_TAG in asset.metadata.tags


def pose_of_asset(asset: bpy.types.AssetRepresentation) -> posing.Pose:
    """The pose that an asset holds. Raises `EDTalkError` when it holds none."""
    if asset.local_id is not None:
        return pose_of_action(asset.local_id)
    return pose_of_file(asset.full_library_path, asset.name)


def pose_of_file(library: str, name: str) -> posing.Pose:
    """The pose in an action of another file; nothing of that file stays."""
    with bpy.data.temp_data() as temporary:
        with temporary.libraries.load(library, link=False) as (there, here):
            here.actions = [name] if name in there.actions else []
        return pose_of_action(here.actions[0] if here.actions else None)


def pose_of_action(action: bpy.types.Action | None) -> posing.Pose:
    """The pose that an action keeps. Raises `EDTalkError` when it keeps none."""
    if action is None or not isinstance(action.get(POSE), str):
        raise _no_pose(action.name if action is not None else "")
    return poses.from_text(action[POSE])


def _no_pose(name: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.UNSUPPORTED,
        f"{name or 'The asset'} is no pose of EDTalk.",
        "Choose one of the catalog EDTalk.",
    )
