# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses as assets: actions of one frame, with a picture, in the current file's asset library.

Blender's own pose library is for armatures, so it cannot apply them; `ui.poses.pose_assets` does. What a pose holds
stands in the action as text with the bases' identifiers, so that it fits characters of other bundles too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.tasks import Steps
from ...core.weights import asset_catalogs, mixing, poses
from ...core.weights.curves import dense
from .. import character
from ..keys import actions, layers
from ..keys.draft import Draft
from . import posing

POSE, LABEL = "edtalk_pose", "edtalk_pose_name"
"""Custom properties of the actions: the pose as text, and what one of the bundle was called when it was made."""
CATALOG = ASSET_TAG = "EDTalk"
LARGEST = 128
"""Pixels of a preview's side at most: sixty larger ones would make the file heavy."""
UNNAMED = "Pose"
_NUMBER = re.compile(r"\.\d+$")
"""What Blender puts behind a name that is taken, in place of a number that is there."""
_TELLING = 40
"""Bytes of a name that are compared: Blender cuts long ones, before 5.0 at 63 and with a number behind it."""


@dataclass(frozen=True)
class PoseAsset:
    """A pose to be kept: its name, the sentence that explains it, the values, and whether it is the artist's own."""

    name: str
    description: str
    pose: posing.Pose
    is_own: bool = False


Picture = np.ndarray
"""uint8 RGBA [height, width, 4], rows bottom-up."""


def make_thumbnail(width: int, height: int, pixels: bytes) -> Picture:
    """Make an asset's picture from a frame's raw RGBA, rows bottom-up."""
    step = -(-max(width, height) // LARGEST)
    whole = np.frombuffer(pixels, np.uint8).reshape(height, width, 4)
    return np.ascontiguousarray(whole[step // 2 :: step, step // 2 :: step])


def bundle_poses(ob: bpy.types.Object) -> list[PoseAsset]:
    """The poses that a bundle offers: its expressions, and each basis at the end of its range (both ends, where it has
    two)."""
    presets = mixing.presets_from_json(ob.edtalk.emotion.presets)
    assets = [
        PoseAsset(name.capitalize(), f"The expression {name}", dict(pose))
        for name, pose in sorted(presets.items())
        if pose
    ]
    for basis in character.layout_of(ob).bases:
        assets.append(PoseAsset(basis.name, basis.description, {basis.identifier: basis.maximum}))
        if basis.minimum < 0:
            opposite = f"The opposite of {basis.name}"
            assets.append(PoseAsset(f"{basis.name} -", opposite, {basis.identifier: basis.minimum}))
    return assets


def own_poses() -> dict[str, posing.Pose]:
    """Return the artists' own poses in this file, by their assets' names."""
    return {action.name: pose_of_action(action) for action in bpy.data.actions if _is_own(action)}


def has_own() -> bool:
    """Return whether this file has an artist's own pose."""
    return any(map(_is_own, bpy.data.actions))


def pictured_poses() -> list[tuple[str, int]]:
    """Return the names of the artists' own poses that have a picture, with its icon."""
    previews = [(action.name, action.preview) for action in bpy.data.actions if _is_own(action)]
    return [(name, preview.icon_id) for name, preview in previews if preview is not None]


def _is_own(action: bpy.types.Action) -> bool:
    return (
        actions.role_of(action) == actions.POSE
        and action.asset_data is not None
        and action.library is None
        and LABEL not in action
        and POSE in action
    )


def compatible_poses(ob: bpy.types.Object, offered: Mapping[str, posing.Pose]) -> dict[str, posing.Pose]:
    """Return the poses with a weight that the character has. Raises `EDTalkError` when there are none."""
    known = set(posing.channels_by_identifier(ob))
    compatible = {name: pose for name, pose in offered.items() if not known.isdisjoint(pose)}
    if not compatible:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "There is no pose with a weight that this character has.",
            "Choose a file that Export Poses wrote, of characters with this one's bundle.",
        )
    return compatible


def new_poses(offered: Mapping[str, posing.Pose]) -> dict[str, posing.Pose]:
    """Return the poses that are not in this file yet, under the same name or what Blender made of it."""
    existing = {_identity(name, pose) for name, pose in own_poses().items()}
    return {name: pose for name, pose in offered.items() if _identity(name, pose) not in existing}


def asset_name(name: str) -> str:
    """Return a name that an asset can have."""
    return name.replace("\0", "").strip() or UNNAMED


def _identity(name: str, pose: posing.Pose) -> tuple[bytes, frozenset[tuple[str, float]]]:
    """Return what stays the same when Blender changes a name."""
    return _NUMBER.sub("", asset_name(name)).encode(errors="replace")[:_TELLING], frozenset(pose.items())


def weights_of(ob: bpy.types.Object, pose: posing.Pose) -> np.ndarray:
    """Return the portrait's weights in a pose, float32 [channels]. Leaves out what the bundle does not know."""
    row = character.rest_weights(ob)
    for channel, basis in enumerate(character.layout_of(ob).bases):
        row[channel] = pose.get(basis.identifier, row[channel])
    return row


def save_assets(
    ob: bpy.types.Object, assets: Sequence[tuple[PoseAsset, Picture]], folder: Path
) -> Steps[None]:
    """Put poses into the current file as assets, in our catalog, which is listed in `folder`. The bundle's that were
    made before are replaced; an artist's own takes no other's place.

    The steps work on drafts; the file changes at the last one. Raises `EDTalkError` when the character is gone by then.
    """
    looks, channels = layers.weight_paths(ob), posing.channels_by_identifier(ob)
    drafts: list[tuple[PoseAsset, Draft]] = []
    try:
        for asset, picture in assets:
            owner = drafts[-1][1].owner if drafts else ob
            drafts.append((asset, draft := Draft(owner, None, asset.name, actions.POSE)))
            for identifier in filter(
                channels.__contains__, asset.pose
            ):  # what the bundle lacks stays in the text
                path = character.data_path(channels[identifier])
                curve = draft.sheet.ensure(path, looks[path].group)
                actions.write(curve, dense(1, [asset.pose[identifier]]))
                yield
            preview = draft.sheet.action.preview_ensure()
            preview.image_size = picture.shape[1], picture.shape[0]
            preview.image_pixels_float.foreach_set((picture / np.float32(255)).ravel())
            yield
        _show(drafts, folder)
    finally:
        for _, draft in drafts:
            draft.drop()


def _show(drafts: Sequence[tuple[PoseAsset, Draft]], folder: Path) -> None:
    """Mark the drafts as assets."""
    asset_catalogs.add(folder, asset_catalogs.EDTALK, CATALOG)
    before: dict[str, list[bpy.types.Action]] = {}
    for action in bpy.data.actions:
        if actions.role_of(action) == actions.POSE and action.library is None and LABEL in action:
            before.setdefault(action[LABEL], []).append(action)
    for asset, draft in drafts:
        action = draft.sheet.action
        action[POSE] = poses.to_text(asset.pose)
        action.asset_mark()
        action.asset_data.description = asset.description
        action.asset_data.catalog_id = asset_catalogs.EDTALK
        action.asset_data.tags.new(ASSET_TAG, skip_if_exists=True)
        if not asset.is_own:
            if old := before.get(asset.name):  # (an expression and a weight can have one name)
                _replace(old.pop(0), action)
            action[LABEL] = action.name = asset.name
        draft.mark_used()


def _replace(old: bpy.types.Action, new: bpy.types.Action) -> None:
    """Replace a pose by a new one wherever artists used it."""
    if old.users > int(old.use_fake_user):  # (it looks through the whole file)
        old.user_remap(new)
    if old.asset_data is not None:
        new.asset_data.catalog_id = old.asset_data.catalog_id
        for tag in old.asset_data.tags:
            new.asset_data.tags.new(tag.name, skip_if_exists=True)
    bpy.data.actions.remove(old)


# --- reading ---------------------------------------------------------------------------------------------------------


def is_ours(asset: bpy.types.AssetRepresentation | None) -> bool:
    """Return whether an asset is a pose of ours, in any library."""
    return asset is not None and asset.id_type == "ACTION" and ASSET_TAG in asset.metadata.tags


def pose_of_asset(asset: bpy.types.AssetRepresentation) -> posing.Pose:
    """Return the pose of an asset. Raises `EDTalkError` when it has none."""
    if asset.local_id is not None:
        return pose_of_action(asset.local_id)
    return pose_of_file(asset.full_library_path, asset.name)


def pose_of_file(library: str, name: str) -> posing.Pose:
    """Return the pose of an action in another file, and keep nothing of that file. Raises `EDTalkError` without one."""
    try:
        text = _text_of_file(library, name) if Path(library).is_file() else None
    except OSError:
        text = None
    if text is None:
        raise _no_pose(name)
    return _pose_of_text(text, name)


def _text_of_file(library: str, name: str) -> str | None:
    """What an action of another file keeps. Nothing that holds the temporary data leaves: Blender would crash."""
    with bpy.data.temp_data() as temporary:
        with temporary.libraries.load(library, link=False) as (available, loaded):
            loaded.actions = [name] if name in available.actions else []
        text = loaded.actions[0].get(POSE) if loaded.actions else None
        return text if isinstance(text, str) else None


def pose_of_action(action: bpy.types.Action | None) -> posing.Pose:
    """Return the pose of an action. Raises `EDTalkError` when it has none."""
    if action is None or not isinstance(action.get(POSE), str):
        raise _no_pose(action.name if action is not None else "")
    return _pose_of_text(action[POSE], action.name)


def _pose_of_text(text: str, name: str) -> posing.Pose:
    try:
        return poses.from_text(text)
    except EDTalkError as error:
        raise _no_pose(name) from error


def _no_pose(name: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.UNSUPPORTED,
        f"{name or 'The asset'} is no pose of EDTalk.",
        "Choose one of the catalog EDTalk.",
    )
