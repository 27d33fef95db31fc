# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: predict a performance and write it as curves."""

from __future__ import annotations

import bpy
import numpy as np

from shared_protocol.errors import EDTalkError, ErrorCode

from ..core.tasks import Progress, Steps
from ..scene import actions, character, sound
from . import link
from .operators import refuse, scene_of
from .perform import RangeOperator, found, prepared_source

GROUPS = {"mouth": "Mouth", "pose": "Pose", "expression": "Expression"}


class Predict(RangeOperator, bpy.types.Operator):
    """Let the character speak the voice: writes F-Curves over the scene's frame range"""

    bl_idname = "edtalk.predict"
    bl_label = "Predict"
    bl_options = {"UNDO"}
    title = "Predict"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if ob is not None and ob.animation_data is not None and ob.animation_data.use_tweak_mode:
            return refuse(cls, "Leave the tweak mode of the NLA first")
        return super().poll(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        uid, scene_uid = context.object.session_uid, context.scene.session_uid
        frames = self.frames(context.scene)
        progress.stage = "Reading the voice"
        yield
        voice = sound.voice_of(found(uid), scene_of(scene_uid))
        prepared = yield from prepared_source(uid, progress)
        weights = yield from link.session().predict(prepared.source, voice.data, voice.time, frames, progress)
        ob = found(uid)
        kept = write_performance(ob, frames, weights)
        ob.edtalk.show = "LIVE"
        scene = scene_of(scene_uid)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
        return f"{ob.name}: {len(frames)} frames predicted" + (
            f". Your keys are kept in {kept}" if kept else ""
        )


def write_performance(ob: bpy.types.Object, frames: range, weights: np.ndarray) -> str:
    """Turn weights [frames, channels] into grouped F-Curves.

    Keys in the range are replaced. When any key of the weights was made or edited by the artist, the action is kept as
    it was in a copy, whose name is the answer. Raises `EDTalkError` when the action is linked.
    """
    try:
        action = actions.ensure_action(ob, f"EDTalk {ob.name}")
    except PermissionError as error:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The character's action {error} is linked from another file.",
            "Give the character an action of its own, then predict again.",
        ) from error
    paths = [character.data_path(channel) for channel in character.channels_of(ob)]
    before = actions.fingerprint(ob, paths)
    edited = before not in {"", ob.edtalk.predicted}
    kept = actions.keep_copy(action) if edited else ""
    column = 0
    for bank, bases in character.banks_of(ob).items():
        for channel, _name in bases:
            curve = actions.ensure(ob, character.data_path(channel), GROUPS[bank.value])
            actions.write(curve, frames, weights[:, column])
            column += 1
    # keys outside the range that are not ours stay, and must still be seen as the artist's next time
    stays = edited and actions.has_keys_outside(ob, paths, frames)
    ob.edtalk.predicted = "" if stays else actions.fingerprint(ob, paths)
    return kept


CLASSES = (Predict,)
