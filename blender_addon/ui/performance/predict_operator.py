# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: predict a performance from the voice and the transcript, and write it as curves."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from shared_protocol import messages
from shared_protocol.arrays import unpack_weights
from shared_protocol.banks import Bank
from shared_protocol.emotions import parse
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase
from shared_protocol.visemes import VISEMES

from ...core.server import events, uploads
from ...core.tasks import Progress, Steps, redraw, time_sliced
from ...core.text.translate import n_, rpt_, tip_
from ...core.weights import curves
from ...scene.references import CharacterRef
from ...scene.speech import cues, script, sound, spoken
from ..runtime import runtime
from ..runtime.polls import is_not_tweaking
from ..runtime.range_operator import RangeOperator, prepare_source
from .write_performance import describe_side_effects, fit_emotions, write_emotions, write_performance


@dataclass(frozen=True)
class _Voice:
    """What is sent of a voice (None: words alone), which second of it each frame of the face speaks, and the words."""

    recording: uploads.Content | None
    lips: TimeBase
    lines: tuple[messages.SpokenLine, ...]
    speech: str


class Predict(RangeOperator, bpy.types.Operator):
    """Animate the character from its voice and transcript over the scene's frame range. Your own keys on top stay"""

    bl_idname = "edtalk.predict"
    bl_label = "Predict"
    bl_options = {"UNDO"}
    title = "Predict"
    is_for_each = True

    banks: EnumProperty(
        name="Banks",
        description="What to predict; the keys of the others stay",
        items=(
            ("MOUTH", "Mouth", "The lips"),
            ("POSE", "Pose", "The head"),
            ("EXPRESSION", "Expression", "Blinks, gaze and emotions"),
        ),
        options={"ENUM_FLAG", "SKIP_SAVE"},
        default={"MOUTH", "POSE", "EXPRESSION"},
    )
    emotion: StringProperty(
        name="Emotion",
        description="One emotion for the whole range, such as happy or sad 0.5. Empty: from voice and words",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """Return the tooltip: the button may be for one bank."""
        texts = {
            "MOUTH": n_("Predict the mouth alone. The keys of pose and expression stay"),
            "POSE": n_("Predict the head's pose alone. The keys of mouth and expression stay"),
            "EXPRESSION": n_("Predict expression and emotions alone. The keys of mouth and pose stay"),
        }
        chosen = list(properties.banks)
        return tip_(texts[chosen[0]]) if len(chosen) == 1 else tip_(cls.__doc__ or "")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and is_not_tweaking(cls, context)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ref, frames = CharacterRef.of(context.object, context.scene), self.frames(context.scene)
        banks, chosen = [bank for bank in Bank if bank.name in self.banks], _chosen(self.emotion)
        _check_banks(banks)
        is_file = ref.get_character().edtalk.voice_from == "FILE"
        progress.stage = "Reading the voice" if is_file else "Mixing audio (Blender will freeze briefly)"
        yield from redraw()
        with tempfile.TemporaryDirectory(prefix="edtalk-") as folder:
            voice = yield from _read_voice(ref, Path(folder), frames)
            prepared = yield from prepare_source(ref, progress)
            request = self._request(ref, prepared.source, voice, frames, banks)
            request = _understood(replace(request, emotion=chosen), voice)
            progress.begin("Predicting")
            files = [voice.recording] if voice.recording is not None else []
            performance = yield from runtime.session().run(request, progress, files)
        weights = events.weights_for(performance, len(frames))
        felt = yield from _fit_felt(ref, frames, performance, banks)
        written = yield from write_performance(ref, frames, weights, progress, banks)
        kept = write_emotions(ref, frames, felt)
        _keep_words(ref, performance, voice.lips)
        message = rpt_("{name}: {count} frames predicted", name=ref.get_character().name, count=len(frames))
        notes = "".join(f". {rpt_(note).rstrip('.')}" for note in performance.notes)
        side_effects = describe_side_effects(written) + describe_side_effects(kept)
        return message + notes + side_effects

    def _request(
        self, ref: CharacterRef, source: str, voice: _Voice, frames: range, banks: list[Bank]
    ) -> messages.Predict:
        ob, lips = ref.get_character(), voice.lips
        speech = ob.edtalk.speech
        is_felt = speech.feel and not cues.from_markers(ref.get_scene(), ob)
        return messages.Predict(
            source=source,
            voice=voice.recording.digest if voice.recording is not None else "",
            fps_numerator=lips.fps.numerator,
            fps_denominator=lips.fps.denominator,
            frames=len(frames),
            offset=lips.seconds(frames[0]),
            seed=speech.seed,
            blinks=speech.blinks,
            head=speech.head,
            clock=float(frames[0] / lips.fps) - lips.seconds(frames[0]),
            lines=voice.lines,
            language=speech.language.strip(),
            banks=tuple(bank.value for bank in banks),
            emotion_gain=speech.emotion_gain if is_felt and has_expressions() else 0.0,
            temperature=speech.temperature,
            pose="flow",
            progress=True,
            visemes=bool(voice.lines) and runtime.session().can(messages.VISEMES),
        )


def has_expressions() -> bool:
    """Return whether the running bundle shows emotions."""
    bundle = runtime.session().bundle
    return bundle is not None and bool(bundle.presets)


def _chosen(words: str) -> messages.SetEmotion:
    """Return the emotion that somebody wrote. Raises `EDTalkError` for anything else than one."""
    felt = parse(words) if words else ()
    if felt is None or len(felt) > 1 or (words and not felt):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, f"{words} is no emotion.", "Write a name such as happy, or happy 0.7."
        )
    return messages.SetEmotion(*felt[0]) if felt else messages.SetEmotion()


def _check_banks(banks: list[Bank]) -> None:
    if not banks:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            "Mouth, pose and expression are all switched off.",
            "Switch on at least one of them.",
        )


def _read_voice(ref: CharacterRef, folder: Path, frames: range) -> Steps[_Voice]:
    """Read the voice and the words. Without a voice file, words alone will do."""
    ob, scene = ref.get_character(), ref.get_scene()
    transcript = script.transcript_of(ob, scene)
    if ob.edtalk.voice_from == "FILE" and not ob.edtalk.voice and transcript.words:
        lips = sound.beginning(ob, scene)
        return _Voice(None, lips, script.spoken_lines(ob, scene, lips.seconds), transcript.speech)
    voice = sound.voice_of(ob, scene, folder, frames)
    yield
    recording = yield from time_sliced(uploads.on_disk(voice.path, "voice", ErrorCode.AUDIO_UNREADABLE))
    ob, scene = ref.get_character(), ref.get_scene()
    lines = script.spoken_lines(ob, scene, voice.lips.seconds)
    return _Voice(recording, voice.lips, lines, transcript.speech)


def _understood(request: messages.Predict, voice: _Voice) -> messages.Predict:
    """Return the request as the running server understands it. Raises `EDTalkError` where an older one cannot do it."""
    if runtime.session().can(messages.SEMANTICS):
        return request
    if voice.recording is None or request.emotion.name:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "This EDTalk server is older than the add-on: it needs a voice, and knows no emotions.",
            "Update the EDTalk server.",
        )
    return replace(request, lines=(), transcript=voice.speech)


def _fit_felt(
    ref: CharacterRef, frames: range, performance: messages.Performance, banks: list[Bank]
) -> Steps[dict[str, curves.Keys]]:
    """Return the keys of the emotions' curves; none where none were predicted."""
    if not len(performance.emotions) or Bank.EXPRESSION not in banks:
        return {}
    return (yield from fit_emotions(ref, frames, unpack_weights(performance.emotions, len(frames))))


def _keep_words(ref: CharacterRef, performance: messages.Performance, lips: TimeBase) -> None:
    """Note on the character what was said when."""
    count = len(performance.words)
    times = [(float(a), float(b)) for a, b in unpack_weights(performance.word_times, count)] if count else []
    shown = _visemes(performance)
    spoken.keep(ref.get_character(), performance.words, times, performance.sentences, lips.frame, shown)


def _visemes(performance: messages.Performance) -> list[spoken.SpokenWord]:
    """Return what the lips showed, in seconds of the voice."""
    count = len(performance.visemes) // (3 * 4)
    rows = unpack_weights(performance.visemes, count).tolist() if count else []
    known = [(int(number), float(a), float(b)) for number, a, b in rows]
    return [spoken.SpokenWord(VISEMES[n], a, b) for n, a, b in known if 0 <= n < len(VISEMES)]


CLASSES = (Predict,)
