"""From a voice, words, both or neither to a performance: weights and emotions for every frame of a scene, at the
scene's own frame rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Floats, Weights
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.media.steps import Checkpoint, beside, unwatched
from edtalk_server.motion import pose
from edtalk_server.motion.align import Alignment, align
from edtalk_server.motion.align import Sentence as SpokenSentence
from edtalk_server.motion.curves import clip_one_way, interpolate
from edtalk_server.motion.expression import Feeling, express
from edtalk_server.motion.idle_motion import NO_IDLE_MOTION, IdleMotion, add_idle_motion
from edtalk_server.motion.mouth import mouth_weights
from edtalk_server.motion.visemes import Viseme, visemes
from shared_protocol.banks import Bank, BankLayout
from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import NATURAL_TEMPERATURE, Sentence
from shared_protocol.timebase import MODEL_FPS, TimeBase
from shared_protocol.transcripts import Transcript

_MODEL_TIME = TimeBase(MODEL_FPS)
_NO_VOICE = Waveform(np.zeros(0, np.float32))
BREATH_S = 0.5
"""Seconds after the last word of a performance without a voice."""
AROUND_S = 10.0
"""Seconds around voice and words within which emotions may still change."""
FAINTEST = 0.05
"""A sentence's emotion below this intensity is none."""


Part = SpokenSentence | Feeling
"""Some words that belong together."""


class VoiceBundle(Protocol):
    """What prediction needs of a bundle (`edtalk_server.bundles.Bundle`)."""

    @property
    def layout(self) -> BankLayout: ...

    @property
    def audio_to_lip(self) -> Any: ...

    @property
    def semantics(self) -> Any: ...

    @property
    def audio_to_pose(self) -> Any: ...

    @property
    def pose_map(self) -> Floats | None: ...


@dataclass(frozen=True)
class ChosenEmotion:
    """An emotion (one of `EMOTIONS`) that somebody chose for the whole performance, with its intensity, 0 to 1."""

    name: str
    intensity: float = 1.0


@dataclass(frozen=True)
class PredictOptions:
    """What a prediction is asked for, beside the frames.

    `idle`: blinks, strength of head movement, seed and clock. `transcript`: what the voice says, with directions such
    as "[happy 0.7]"; `language`: its BCP 47 tag (empty: unknown). `banks`: those to compute. `emotion_gain`: factor on
    the emotions that voice and words show (0: none are predicted). `emotion`: one for the whole performance instead,
    which directions override. `pose`: `idle`, or `flow` for the bundle's own network where it has one, as freely as
    `temperature` says (0: no chance, 1: as in the data). `visemes`: whether the words' visemes are wanted, too.
    """

    idle: IdleMotion = NO_IDLE_MOTION
    transcript: Transcript = field(default_factory=Transcript)
    language: str = ""
    banks: frozenset[Bank] = frozenset(Bank)
    emotion: ChosenEmotion | None = None
    emotion_gain: float = 0.0
    pose: str = "idle"
    temperature: float = NATURAL_TEMPERATURE
    visemes: bool = False


DEFAULT_OPTIONS = PredictOptions()


@dataclass(frozen=True, eq=False)
class Predicted:
    """A prediction: `weights` [frames, channels], without emotions; the intensities of these, `emotions` [frames, 8] in
    the order of `EMOTIONS`, None where none were asked for; the transcript's `words` with their times [words, 2] in
    seconds of the voice, its `sentences`, and its `visemes` where they were asked for; `notes` for people, empty when
    all is well."""

    weights: Weights
    emotions: Floats | None = None
    words: tuple[str, ...] = ()
    word_times: Floats = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    sentences: tuple[Sentence, ...] = ()
    notes: tuple[str, ...] = ()
    visemes: tuple[Viseme, ...] = ()


def predict(
    bundle: VoiceBundle,
    source_weights: npt.ArrayLike,
    voice: Waveform | None,
    time_base: TimeBase | None = None,
    frames: int = 0,
    idle: IdleMotion = NO_IDLE_MOTION,
    checkpoint: Checkpoint = unwatched,
) -> Weights:
    """Predict the weights [frames, channels] alone: `perform` without words and emotions."""
    options = PredictOptions(idle)
    return perform(bundle, source_weights, voice, time_base, frames, options, checkpoint).weights


def perform(
    bundle: VoiceBundle,
    source_weights: npt.ArrayLike,
    voice: Waveform | None,
    time_base: TimeBase | None = None,
    frames: int = 0,
    options: PredictOptions = DEFAULT_OPTIONS,
    checkpoint: Checkpoint = unwatched,
) -> Predicted:
    """Predict a performance: the mouth follows the voice, the head and lids move by themselves, emotions follow voice
    and words; everything else stays at `source_weights`, as do banks that are not asked for.

    Row i belongs to frame `time_base.start + i` (default: 25 fps from the voice's beginning). `frames` = 0 goes to the
    end of the voice, or of the words where there is none. Outside the voice is silence. Mouth weights are absolute:
    silence closes the mouth, whatever the portrait does; without a voice it rests at the portrait's own. `checkpoint`
    is called between pieces of work; an exception from it ends the work. Raises `EDTalkError`: `EMPTY_RANGE`,
    `UNSUPPORTED` (no audio part in the bundle), `BAD_WEIGHTS`.
    """
    time_base = time_base or _MODEL_TIME
    own = check_source_weights(source_weights, len(bundle.layout))
    if voice is None:
        alignment = _placed(None, options, checkpoint)
        seconds = _seconds(time_base, frames, None, alignment)
        rows = np.tile(own, (len(seconds), 1))
    else:
        seconds = _seconds(time_base, frames, voice)
        alignment, rows = beside(
            partial(_placed, voice, options),
            lambda: _with_mouth(own, bundle, voice, seconds, options, checkpoint),
            checkpoint,
        )
    checkpoint(0, 0, "reading the feelings")
    felt = _feelings(bundle, voice, alignment, options, checkpoint)
    checkpoint(0, 0, "moving the head")
    rows = _with_idle_motion(rows, bundle, voice or _NO_VOICE, seconds, options, felt, checkpoint)
    words = alignment.words
    return Predicted(
        rows,
        felt(seconds) if felt is not None else None,
        tuple(word.text for word in words),
        np.array([[word.start, word.end] for word in words], np.float32).reshape(-1, 2),
        _sentences(alignment, felt),
        alignment.notes,
        visemes(words, options.language) if options.visemes else (),
    )


def check_source_weights(source_weights: npt.ArrayLike, channels: int) -> Weights:
    """Return a portrait's own weights [channels]. Raises `EDTalkError(BAD_WEIGHTS)`."""
    own = np.asarray(source_weights, np.float32).reshape(-1)
    if len(own) != channels or not np.isfinite(own).all():
        raise EDTalkError(
            ErrorCode.BAD_WEIGHTS,
            f"The portrait's own weights are not {channels} finite numbers.",
            "Prepare the portrait with this bundle.",
        )
    return own


def _placed(voice: Waveform | None, options: PredictOptions, checkpoint: Checkpoint) -> Alignment:
    return align(
        options.transcript, voice, options.language, wants_sounds=options.visemes, checkpoint=checkpoint
    )


def _seconds(
    time_base: TimeBase, frames: int, voice: Waveform | None, alignment: Alignment | None = None
) -> Doubles:
    """Return the second of each frame; without a number of `frames`, to the end of the voice, or of the words, which
    end with a breath, where there is none. Raises `EDTalkError(EMPTY_RANGE)`."""
    if voice is not None:
        duration = voice.duration
    else:
        duration = (
            Fraction(alignment.words[-1].end + BREATH_S) if alignment and alignment.words else Fraction(0)
        )
    count = frames or time_base.frame_count(duration - time_base.offset)
    if count < 1:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            "The voice lies outside the frame range."
            if voice is not None
            else "There is neither a voice nor a word.",
            "Check the start and end frame and where the sound begins.",
        )
    return time_base.all_seconds(count)


# --- emotions --------------------------------------------------------------------------------------------------------


class Felt:
    """The emotions of a performance at any second of the voice: computed once, on the model's frames, as far as voice
    and words reach. Beyond, they stay."""

    def __init__(
        self,
        semantics: Any,
        voice: Waveform | None,
        alignment: Alignment,
        options: PredictOptions,
        checkpoint: Checkpoint,
    ) -> None:
        chosen = options.emotion
        times = [float(voice.duration) if voice is not None else 0.0]
        times += [word.end for word in alignment.words[-1:]] + [cue.time for cue in alignment.directions[-1:]]
        last = math.ceil((max(times) + AROUND_S) * MODEL_FPS)
        self._at = np.arange(-round(AROUND_S * MODEL_FPS), last + 1) / float(MODEL_FPS)
        expression = express(
            self._at,
            semantics,
            alignment,
            voice,
            options.language,
            options.emotion_gain,
            None if chosen is None else _row(chosen),
            checkpoint,
        )
        self._curves = expression.curves
        self.parts: tuple[Part, ...] = tuple(one for one in expression.feelings if one.timing is not None)
        """Sentences, and clauses that differ from them, where a network read them."""

    def __call__(self, seconds: Doubles) -> Floats:
        """Return the intensities [n, 8] at n seconds of the voice."""
        columns = [np.interp(seconds, self._at, column) for column in self._curves.T]
        return np.stack(columns, axis=1).astype(np.float32)


def _feelings(
    bundle: VoiceBundle,
    voice: Waveform | None,
    alignment: Alignment,
    options: PredictOptions,
    checkpoint: Checkpoint,
) -> Felt | None:
    """Return the emotions that are asked for; None where none are, or nothing tells them."""
    is_told = bundle.semantics is not None or bool(alignment.directions)
    if options.emotion is None and not (options.emotion_gain > 0 and is_told):
        return None
    return Felt(bundle.semantics, voice, alignment, options, checkpoint)


def _row(chosen: ChosenEmotion) -> Floats:
    row = np.zeros(len(EMOTIONS), np.float32)
    row[EMOTIONS.index(chosen.name)] = chosen.intensity
    return row


def _sentences(alignment: Alignment, felt: Felt | None) -> tuple[Sentence, ...]:
    """Return the sentences, or parts of them that feel otherwise, each with the strongest of its emotions."""
    parts: Sequence[Part] = alignment.sentences
    if felt is not None and felt.parts:
        parts = felt.parts
    return tuple(_sentence(part, felt) for part in parts)


def _sentence(part: Part, felt: Felt | None) -> Sentence:
    name, intensity = "", 0.0
    if felt is not None:
        half = (part.start + part.end) / 2  # before, the sentence before may still show
        means = felt(np.linspace(half, part.end, 5)[:-1]).mean(axis=0)
        name, intensity = EMOTIONS[int(means.argmax())], float(means.max())
    is_faint = intensity < FAINTEST
    return Sentence(
        part.first,
        part.last - part.first,
        part.start,
        part.end,
        "" if is_faint else name,
        0.0 if is_faint else round(intensity, 3),
        part.timing.value if part.timing is not None else "",
    )


# --- weights ---------------------------------------------------------------------------------------------------------


def _with_mouth(
    own: Weights,
    bundle: VoiceBundle,
    voice: Waveform,
    seconds: Doubles,
    options: PredictOptions,
    checkpoint: Checkpoint,
) -> Weights:
    """Return `own` for each second, with the mouth of the voice where that bank is asked for."""
    rows = np.tile(own, (len(seconds), 1))
    if Bank.MOUTH not in options.banks:
        return rows
    if bundle.audio_to_lip is None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "This model bundle has no audio part, so it cannot follow a voice.",
            "Choose another bundle, or import it together with its Audio2Lip file.",
        )
    mouth = bundle.layout.slice_of(Bank.MOUTH)
    predicted = _mouth_at(bundle.audio_to_lip, voice, seconds, checkpoint)
    rows[:, mouth] = clip_one_way(predicted, bundle.layout.bases[mouth])
    return rows


def _mouth_at(network: Any, voice: Waveform, seconds: Doubles, checkpoint: Checkpoint) -> Weights:
    """Return mouth weights [len(seconds), mouth] at rising moments of the voice."""
    moments = _MODEL_TIME.all_frames(seconds)
    first, last = int(np.floor(moments[0])) - 1, int(np.floor(moments[-1])) + 3
    rows = mouth_weights(network, voice, first, last, checkpoint)
    return interpolate(rows, moments - float(first))


def _with_idle_motion(
    rows: Weights,
    bundle: VoiceBundle,
    voice: Waveform,
    seconds: Doubles,
    options: PredictOptions,
    felt: Felt | None,
    checkpoint: Checkpoint,
) -> Weights:
    """Return `rows` with blinks and head movement in the banks that are asked for."""
    if options.banks == {Bank.MOUTH}:
        return rows
    layout, idle, moved = bundle.layout, options.idle, rows
    if flows(bundle, options):
        moved = _with_flow(rows, bundle, voice, seconds, options, felt, checkpoint)
        idle = replace(idle, head=0.0)
    moved = add_idle_motion(moved, layout, voice, seconds, idle, bundle.pose_map, checkpoint)
    for bank in set(Bank) - options.banks:  # the eyes follow the head, which is in another bank
        moved[:, layout.slice_of(bank)] = rows[:, layout.slice_of(bank)]
    return moved


def flows(bundle: VoiceBundle, options: PredictOptions) -> bool:
    """Return whether the head moves by the bundle's flow: where that is asked for and the bundle has one."""
    wanted = options.pose == "flow" and options.idle.head > 0
    return wanted and bundle.audio_to_pose is not None and pose.can_move(bundle.layout, bundle.pose_map)


def _with_flow(
    rows: Weights,
    bundle: VoiceBundle,
    voice: Waveform,
    seconds: Doubles,
    options: PredictOptions,
    felt: Felt | None,
    checkpoint: Checkpoint,
) -> Weights:
    idle = options.idle
    motion = pose.HeadMotion(idle.seed, options.temperature, idle.head, idle.clock)
    moves = pose.head_pose(bundle.audio_to_pose, voice, felt, seconds, motion, checkpoint)
    return pose.add_head_pose(rows, bundle.layout, bundle.pose_map, moves)
