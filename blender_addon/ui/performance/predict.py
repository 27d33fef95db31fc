# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: predict a performance and write it as curves."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import bpy
import numpy as np

from shared_protocol import messages
from shared_protocol.banks import Bank
from shared_protocol.errors import ErrorCode

from ...core.server import events, uploads
from ...core.tasks import Progress, Steps, redraw, time_sliced
from ...core.text.translate import rpt_
from ...core.weights import curves
from ...scene import character
from ...scene.keys import layers
from ...scene.speech import script, sound
from ..runtime import pump
from ..runtime.range_operator import RangeOperator, found, prepared_source
from ..runtime.task_operator import refuse, scene_of


class Predict(RangeOperator, bpy.types.Operator):
    """Let the character speak the voice: writes a performance below your own keys, over the scene's frame range"""

    bl_idname = "edtalk.predict"
    bl_label = "Predict"
    bl_options = {"UNDO"}
    title = "Predict"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if ob is not None and layers.is_tweaking(ob):
            return refuse(cls, "The prediction is being edited: switch Layer to Tweaks first")
        return super().poll(context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        uid, scene_uid = context.object.session_uid, context.scene.session_uid
        frames = self.frames(context.scene)
        is_file = found(uid).edtalk.voice_from == "FILE"
        progress.stage = "Reading the voice" if is_file else "Mixing audio (Blender will freeze briefly)"
        yield from redraw()
        with tempfile.TemporaryDirectory(prefix="edtalk-") as folder:
            voice = sound.voice_of(found(uid), scene_of(scene_uid), Path(folder), frames)
            yield
            recording = yield from time_sliced(
                uploads.on_disk(voice.path, "voice", ErrorCode.AUDIO_UNREADABLE)
            )
            words = script.transcript_of(found(uid), scene_of(scene_uid)).speech
            prepared = yield from prepared_source(uid, progress)
            speech = found(uid).edtalk.speech
            lips = voice.lips
            request = messages.Predict(
                source=prepared.source,
                voice=recording.digest,
                transcript=words,
                fps_numerator=lips.fps.numerator,
                fps_denominator=lips.fps.denominator,
                frames=len(frames),
                offset=lips.seconds(frames[0]),
                seed=speech.seed,
                blinks=speech.blinks,
                head=speech.head,
                clock=float(frames[0] / lips.fps) - lips.seconds(frames[0]),
            )
            progress.begin("Predicting")
            performance = yield from pump.session().run(request, progress, [recording])
        weights = events.weights_for(performance, len(frames))
        written = yield from written_performance(uid, scene_uid, frames, weights, progress)
        said = rpt_("{name}: {count} frames predicted", name=found(uid).name, count=len(frames))
        return said + remarks(written)


def written_performance(
    uid: int,
    scene_uid: int,
    frames: range,
    weights: np.ndarray,
    progress: Progress,
    banks: Collection[Bank] = tuple(Bank),
) -> Steps[layers.Written]:
    """Write weights [frames, channels] of some banks as the character's performance, and let its picture follow."""
    keys = yield from curves_of(uid, frames, weights, progress, banks)
    progress.stage, progress.total = "Writing keys", 0
    written = yield from time_sliced(layers.write_performance(found(uid), frames, keys))
    ob, scene = found(uid), scene_of(scene_uid)
    ob.edtalk.show = "LIVE"
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
    return written


def curves_of(
    uid: int, frames: range, weights: np.ndarray, progress: Progress, banks: Collection[Bank]
) -> Steps[list[curves.Keys | None]]:
    """Keys of a curve for each column of weights [frames, channels], as few as the character's settings allow; None
    for those of other banks."""
    settings, layout = found(uid).edtalk.writing, character.layout_of(found(uid))
    reduce, error = settings.reduce, settings.error / 100.0
    progress.stage, progress.done, progress.total, progress.eta = "Choosing keys", 0, len(layout), -1.0
    keys: list[curves.Keys | None] = []
    yield
    for basis, column in zip(layout.bases, weights.T, strict=True):
        tolerance = error * (basis.maximum - basis.minimum)
        if basis.bank not in banks:
            keys.append(None)
        elif reduce:
            keys.append((yield from time_sliced(curves.reduce(frames[0], column, tolerance))))
        else:
            keys.append(curves.dense(frames[0], column))
        progress.done += 1
        yield
    return keys


def remarks(written: layers.Written) -> str:
    """What else the artist should know, as sentences that follow a first one."""
    said = []
    if written.kept:
        said.append(rpt_("The keys that you had edited in it are kept in {action}", action=written.kept))
    if written.hiding:
        text = "Your own keys in {action} hide it: choose the layer Tweaks to add new keys on top of both"
        said.append(rpt_(text, action=written.hiding))
    if written.covered:
        text = "It lies over your track {tracks}: move it down in the NLA editor if need be"
        said.append(rpt_(text, tracks=", ".join(written.covered)))
    return "".join(f". {one}" for one in said)


CLASSES = (Predict,)
