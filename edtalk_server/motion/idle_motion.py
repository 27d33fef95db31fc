"""Idle motion of a talking face: it blinks, and the head is never quite still.

Both are drawn from a seed and the shot's own clock, in small pieces of time. So the same seed gives the same
performance, and a part of a shot the same as the whole. Blinks move into nearby pauses, as speakers' blinks do; the
head moves more while the voice is loud and dips on stressed syllables; the eyes stay on the listener.

This needs weights whose meaning is known: by their identifiers (`banks.LIDS`, `banks.HEAD`) or, for the head, by the
bundle's pose map; others stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edtalk_server.arrays import Doubles, Floats, Weights
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND, Prosody, prosody
from edtalk_server.media.audio.voice import SAMPLE_RATE, Waveform
from edtalk_server.media.steps import Checkpoint, unwatched
from edtalk_server.motion.chance import normal_rows
from edtalk_server.motion.curves import interpolate
from edtalk_server.motion.pose import add_head_pose
from shared_protocol.banks import LIDS, BankLayout
from shared_protocol.messages import MOST_BLINKS

CLOSING_S, CLOSED_S, OPENING_S = 0.1, 0.06, 0.16
"""Seconds of a blink. It is closed for more than a frame at 25 fps, so that at least one frame shows it."""
_PAUSE_S, _STEP_S = 0.4, 0.04
"""Seconds that a blink moves to reach a pause, and the step of that search."""
_SHORTEST_S = CLOSING_S + CLOSED_S + OPENING_S + 2 * _PAUSE_S

_SLOW_S, _FAST_S = 1.7, 0.55
"""Seconds between two turning points of the head's drift, and of the smaller movement on top of it."""
_DRIFT = {"pitch": 0.1, "yaw": 0.045, "roll": 0.04, "shift_x": 0.02, "shift_y": 0.02, "scale": 0.025}
"""Standard deviations while talking, in natural units (0.1 of pitch is 2 degrees), in the order of `NATURAL_POSE`.
People who talk nod far more than they turn: 3.3, 0.9 and 0.8 degrees (Busso et al. 2007), nods and what follows the
voice included."""
_IN_SILENCE = 0.35
"""Strength of the head's movement in silence; 1 while talking."""
_NOD = 0.25
"""Pitch of the dip on a stressed syllable, in natural units."""
_FOLLOW, _FOLLOW_S = 0.02, 0.3
"""Pitch for a semitone of the voice's F0, and the smoothing: the head rises with the voice."""
_RATE = 100
"""Loudness values per second."""
_QUIET_DB, _LOUD_DB = -50.0, -20.0
"""Levels that count as 0 and 1, in decibels of full scale."""


@dataclass(frozen=True)
class IdleMotion:
    """How much a face moves beside talking.

    `blinks` per minute (0: none); strength of `head` movement (0: none, 1: as people talk); random `seed`; `clock`: the
    second of the shot at which the voice begins.
    """

    blinks: float = 0.0
    head: float = 0.0
    seed: int = 0
    clock: float = 0.0


NO_IDLE_MOTION = IdleMotion()


def add_idle_motion(
    rows: Weights,
    layout: BankLayout,
    voice: Waveform,
    seconds: Doubles,
    idle: IdleMotion,
    pose_map: Floats | None = None,
    checkpoint: Checkpoint = unwatched,
) -> Weights:
    """Return `rows` [frames, channels] at rising `seconds` of the voice, with blinks and head movement added.

    `pose_map`: how pose weights without names move the head (`BundleManifest.pose_map`). `checkpoint` is called between
    pieces of work.
    """
    if idle.blinks <= 0 and idle.head <= 0:
        return rows
    moved, loudness = rows.copy(), Loudness(voice)
    if idle.head > 0:
        moves = _head_pose(voice, loudness, seconds, idle, checkpoint)
        moved = add_head_pose(moved, layout, pose_map, moves)
    if idle.blinks > 0 and layout.has(*LIDS):
        closed = lid_closure(loudness, seconds, idle)
        for name in LIDS:
            channel = layout.index(name)
            moved[:, channel] += closed * (layout.bases[channel].maximum - moved[:, channel])
    return moved


# --- the voice -------------------------------------------------------------------------------------------------------


class Loudness:
    """How loud a voice is at any second, 0 (quiet) to 1 (loud); outside the voice it is 0."""

    def __init__(self, voice: Waveform) -> None:
        hop = SAMPLE_RATE // _RATE
        pieces = voice.samples[: len(voice.samples) // hop * hop].reshape(-1, hop)
        power = np.einsum("ij,ij->i", pieces, pieces, dtype=np.float64) / hop
        level = 10 * np.log10(np.maximum(_smooth(power, 0.03), 1e-12))
        self._loud = np.clip((level - _QUIET_DB) / (_LOUD_DB - _QUIET_DB), 0.0, 1.0)
        self._at = (np.arange(len(self._loud)) + 0.5) / _RATE

    def at(self, seconds: Doubles, smoothing: float = 0.0) -> Doubles:
        """Return the loudness at these seconds, smoothed over about `smoothing` seconds."""
        if not len(self._loud):  # a voice of less than a hundredth of a second
            return np.zeros(len(seconds))
        curve = _smooth(self._loud, smoothing) if smoothing else self._loud
        return np.interp(seconds, self._at, curve, left=0.0, right=0.0)


def _smooth(values: Doubles, seconds: float) -> Doubles:
    """Smooth with a Gaussian of this standard deviation; outside is 0."""
    if not len(values):
        return values
    reach = max(1, round(3 * seconds * _RATE))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (seconds * _RATE)) ** 2)
    return np.convolve(values, kernel / kernel.sum())[reach : reach + len(values)]


# --- blinks ----------------------------------------------------------------------------------------------------------


def lid_closure(loudness: Loudness, seconds: Doubles, idle: IdleMotion) -> Doubles:
    """Return how far blinks close the lids, 0 to 1, at rising seconds of the voice."""
    closed = np.zeros(len(seconds))
    for moment in blink_times(loudness, float(seconds[0]), float(seconds[-1]), idle):
        rising = (seconds - moment) / CLOSING_S + 1.0
        falling = (moment + CLOSED_S - seconds) / OPENING_S + 1.0
        closed = np.maximum(closed, _eased(np.minimum(rising, falling)))
    return closed


def _eased(values: Doubles) -> Doubles:
    inside = np.clip(values, 0.0, 1.0)
    return inside * inside * (3.0 - 2.0 * inside)


def blink_times(loudness: Loudness, first: float, last: float, idle: IdleMotion) -> Doubles:
    """Return the seconds of the voice at which the lids have just closed, of all blinks between `first` and `last`."""
    period = 60.0 / min(idle.blinks, MOST_BLINKS)
    around = _PAUSE_S + _SHORTEST_S
    begin = int(np.floor((first + idle.clock - around) / period)) - 1
    end = int(np.ceil((last + idle.clock + around) / period)) + 1
    spread = min(0.45 * period, max(0.0, (period - _SHORTEST_S) / 2))
    chance = normal_rows(idle.seed, "blinks", begin, end, 1)[:, 0]
    moments = (np.arange(begin, end) + 0.5) * period + spread * np.clip(chance / 2, -1.0, 1.0) - idle.clock
    return _into_pauses(loudness, moments)


def _into_pauses(loudness: Loudness, moments: Doubles) -> Doubles:
    shifts = np.arange(-_PAUSE_S, _PAUSE_S + _STEP_S / 2, _STEP_S)
    places = moments[:, None] + shifts
    cost = loudness.at(places.ravel(), 0.05).reshape(places.shape) + 0.3 * np.abs(shifts) / _PAUSE_S
    return places[np.arange(len(moments)), cost.argmin(axis=1)]


# --- the head --------------------------------------------------------------------------------------------------------


def _head_pose(
    voice: Waveform, loudness: Loudness, seconds: Doubles, idle: IdleMotion, checkpoint: Checkpoint
) -> Floats:
    """Return natural movements [len(seconds), 6]."""
    drift = 0.9 * _wander(idle, "slow", seconds, _SLOW_S) + 0.4 * _wander(idle, "fast", seconds, _FAST_S)
    talking = loudness.at(seconds, 0.35)
    amount = _IN_SILENCE + (1.0 - _IN_SILENCE) * talking
    pose = amount[:, None] * np.array(list(_DRIFT.values())) * drift
    pose[:, 0] += _FOLLOW * _voice_pitch(voice, seconds, checkpoint) * talking
    pose[:, 0] -= _NOD * np.maximum(0.0, loudness.at(seconds, 0.12) - talking)
    return (idle.head * pose).astype(np.float32)


def _voice_pitch(voice: Waveform, seconds: Doubles, checkpoint: Checkpoint) -> Doubles:
    """Return the smoothed F0 of the voice in semitones above its usual one; unvoiced sounds do not count."""
    reach = 3 * _FOLLOW_S
    first = int(np.floor((seconds[0] - reach) * FRAMES_PER_SECOND))
    last = int(np.ceil((seconds[-1] + reach) * FRAMES_PER_SECOND)) + 1
    rows = prosody(voice.samples, last - first, first, checkpoint)
    tones = rows[:, Prosody.PITCH].astype(np.float64)
    deviation = _FOLLOW_S * FRAMES_PER_SECOND
    kernel = np.exp(-0.5 * (np.arange(-int(3 * deviation), int(3 * deviation) + 1) / deviation) ** 2)
    voiced = np.convolve(tones != 0, kernel, "same")
    mean = np.convolve(np.clip(tones, -8, 8), kernel, "same") / (voiced + 1.0)
    return np.interp(seconds, np.arange(first, last) / FRAMES_PER_SECOND, mean)


def _wander(idle: IdleMotion, name: str, seconds: Doubles, period: float) -> Doubles:
    """Return smooth random curves [len(seconds), directions of the head] of about unit variance."""
    positions = (seconds + idle.clock) / period
    begin = int(np.floor(positions[0])) - 1
    end = int(np.floor(positions[-1])) + 3
    knots = normal_rows(idle.seed, name, begin, end, len(_DRIFT)).astype(np.float32)
    return interpolate(knots, positions - begin).astype(np.float64)
