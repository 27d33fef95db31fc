# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: predict a performance from the voice, and write it as curves."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy

from shared_protocol import messages
from shared_protocol.errors import ErrorCode

from ...core.server import events, uploads
from ...core.tasks import Progress, Steps, redraw, time_sliced
from ...core.text.translate import rpt_
from ...scene.references import CharacterRef
from ...scene.speech import script, sound
from ..runtime import runtime
from ..runtime.polls import is_not_tweaking
from ..runtime.range_operator import RangeOperator, prepare_source
from .write_performance import describe_side_effects, write_performance


class Predict(RangeOperator, bpy.types.Operator):
    """Animate the character from its voice over the scene's frame range. Your own keys on top stay"""

    bl_idname = "edtalk.predict"
    bl_label = "Predict"
    bl_options = {"UNDO"}
    title = "Predict"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and is_not_tweaking(cls, context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ref = CharacterRef.of(context.object, context.scene)
        frames = self.frames(context.scene)
        is_file = ref.get_character().edtalk.voice_from == "FILE"
        progress.stage = "Reading the voice" if is_file else "Mixing audio (Blender will freeze briefly)"
        yield from redraw()
        with tempfile.TemporaryDirectory(prefix="edtalk-") as folder:
            voice = sound.voice_of(ref.get_character(), ref.get_scene(), Path(folder), frames)
            yield
            recording = yield from time_sliced(
                uploads.on_disk(voice.path, "voice", ErrorCode.AUDIO_UNREADABLE)
            )
            transcript = script.transcript_of(ref.get_character(), ref.get_scene()).speech
            prepared = yield from prepare_source(ref, progress)
            speech = ref.get_character().edtalk.speech
            lips = voice.lips
            request = messages.Predict(
                source=prepared.source,
                voice=recording.digest,
                transcript=transcript,
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
            performance = yield from runtime.session().run(request, progress, [recording])
        weights = events.weights_for(performance, len(frames))
        written = yield from write_performance(ref, frames, weights, progress)
        message = rpt_("{name}: {count} frames predicted", name=ref.get_character().name, count=len(frames))
        return message + describe_side_effects(written)


CLASSES = (Predict,)
