"""From a voice to a performance: weights for every frame of a scene, at the scene's own frame rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion.curves import interpolate
from edtalk_server.motion.idle_motion import NO_IDLE_MOTION, IdleMotion, add_idle_motion
from edtalk_server.motion.mouth import mouth_weights
from shared_protocol.banks import Bank, BankLayout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import MODEL_FPS, TimeBase

Weights = npt.NDArray[np.float32]

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
    life: IdleMotion = NO_IDLE_MOTION,
    checkpoint: Callable[[], None] = lambda: None,
) -> Weights:
    """The performance [frames, channels]: the mouth follows the voice, pose and expression rest at `source_weights`
    but for blinks and movements of the head (`life`, default: none).

    Row i belongs to frame `time_base.start + i` (default: 25 fps from the voice's beginning). `frames` = 0 goes to the
    end of the voice. Outside the voice is silence. Mouth weights are absolute: silence closes the mouth, whatever the
    portrait does. `checkpoint` is called between pieces of work; what it raises ends it.
    Raises `EDTalkError`: `EMPTY_RANGE`, `UNSUPPORTED` (no audio part in the bundle), `BAD_WEIGHTS`.
    """
    time_base = time_base or _MODEL_TIME
    own = check_source_weights(source_weights, len(bundle.layout))
    count = frames or _frames_of(voice, time_base)
    if count < 1:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            "The frame range holds nothing of the voice.",
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
    rows[:, mouth] = _within_sides(_mouth_at(bundle.audio_to_lip, voice, seconds, checkpoint), bundle.layout)
    return add_idle_motion(rows, bundle.layout, voice, seconds, life)


def check_source_weights(source_weights: npt.ArrayLike, channels: int) -> Weights:
    """A portrait's own weights [channels]. Raises `EDTalkError(BAD_WEIGHTS)`."""
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


def _mouth_at(
    network: Any, voice: Waveform, seconds: npt.NDArray[np.float64], checkpoint: Callable[[], None]
) -> Weights:
    """Mouth weights [len(seconds), mouth] at rising moments of the voice."""
    moments = np.array([_MODEL_TIME.frame(second) for second in seconds], np.float64)
    first, last = int(np.floor(moments[0])) - 1, int(np.floor(moments[-1])) + 3
    rows = mouth_weights(network, voice, first, last, checkpoint)
    return interpolate(rows, moments - float(first))


def _within_sides(mouth: Weights, layout: BankLayout) -> Weights:
    """No negative values of weights that only go one way (a jaw cannot be less than shut)."""
    bases = layout.bases[layout.slice_of(Bank.MOUTH)]
    lowest = np.array([0.0 if basis.minimum == 0.0 else -np.inf for basis in bases], np.float32)
    return np.maximum(mouth, lowest)
