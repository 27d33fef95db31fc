"""From a voice to a performance: weights for every frame of a scene, at the scene's own frame rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Weights
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion.curves import clip_one_way, interpolate
from edtalk_server.motion.idle_motion import NO_IDLE_MOTION, IdleMotion, add_idle_motion
from edtalk_server.motion.mouth import mouth_weights
from shared_protocol.banks import Bank, BankLayout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import MODEL_FPS, TimeBase

_MODEL_TIME = TimeBase(MODEL_FPS)


class VoiceBundle(Protocol):
    """What prediction needs of a bundle (`edtalk_server.bundles.Bundle`)."""

    @property
    def layout(self) -> BankLayout: ...

    @property
    def audio_to_lip(self) -> Any: ...


def predict(
    bundle: VoiceBundle,
    source_weights: npt.ArrayLike,
    voice: Waveform,
    time_base: TimeBase | None = None,
    frames: int = 0,
    idle: IdleMotion = NO_IDLE_MOTION,
    checkpoint: Callable[[], None] = lambda: None,
) -> Weights:
    """Predict the performance [frames, channels]: the mouth follows the voice, pose and expression stay at
    `source_weights` except for blinks and head movement (`idle`, default: none).

    Row i belongs to frame `time_base.start + i` (default: 25 fps from the voice's beginning). `frames` = 0 goes to the
    end of the voice. Outside the voice is silence. Mouth weights are absolute: silence closes the mouth, whatever the
    portrait does. `checkpoint` is called between pieces of work; an exception from it ends the work.
    Raises `EDTalkError`: `EMPTY_RANGE`, `UNSUPPORTED` (no audio part in the bundle), `BAD_WEIGHTS`.
    """
    time_base = time_base or _MODEL_TIME
    own = check_source_weights(source_weights, len(bundle.layout))
    count = frames or _frames_of(voice, time_base)
    if count < 1:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            "The voice lies outside the frame range.",
            "Check the start and end frame and where the sound begins.",
        )
    if bundle.audio_to_lip is None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "This model bundle has no audio part, so it cannot follow a voice.",
            "Choose another bundle, or import it together with its Audio2Lip file.",
        )
    rows = np.tile(own, (count, 1))
    mouth = bundle.layout.slice_of(Bank.MOUTH)
    seconds = np.array([time_base.seconds(time_base.start + i) for i in range(count)])
    predicted = _mouth_at(bundle.audio_to_lip, voice, seconds, checkpoint)
    rows[:, mouth] = clip_one_way(predicted, bundle.layout.bases[mouth])
    return add_idle_motion(rows, bundle.layout, voice, seconds, idle)


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


def _frames_of(voice: Waveform, time_base: TimeBase) -> int:
    return time_base.frame_count(voice.duration - time_base.offset)


def _mouth_at(network: Any, voice: Waveform, seconds: Doubles, checkpoint: Callable[[], None]) -> Weights:
    """Return mouth weights [len(seconds), mouth] at rising moments of the voice."""
    moments = np.array([_MODEL_TIME.frame(second) for second in seconds], np.float64)
    first, last = int(np.floor(moments[0])) - 1, int(np.floor(moments[-1])) + 3
    rows = mouth_weights(network, voice, first, last, checkpoint)
    return interpolate(rows, moments - float(first))
