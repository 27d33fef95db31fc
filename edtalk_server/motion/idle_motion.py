"""What a talking face does beside talking: it blinks, and the head is never quite still.

Both are dealt out by a seed and the shot's own clock, a small piece of time after the other. So the same seed gives the
same performance, and a part of a shot the same as the whole. Blinks slide into nearby pauses, as those of speakers do;
the head moves more while the voice is loud, dips on stressed syllables, and the eyes stay on who is looked at.

This needs weights whose meaning is known by their identifiers (`banks.LIDS`, `banks.HEAD`); others are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.media.audio.voice import SAMPLE_RATE, Waveform
from edtalk_server.motion.curves import interpolate
from shared_protocol.banks import HEAD, LIDS, BankLayout
from shared_protocol.messages import MOST_BLINKS

Weights = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]

CLOSING_S, CLOSED_S, OPENING_S = 0.1, 0.06, 0.16
"""A blink. It is closed for more than a frame at 25 frames a second, so that some frame shows it."""
_PAUSE_S, _STEP_S = 0.4, 0.04
"""How far a blink goes for a pause, and how finely it looks."""
_SHORTEST_S = CLOSING_S + CLOSED_S + OPENING_S + 2 * _PAUSE_S

_SLOW_S, _FAST_S = 1.7, 0.55
"""Between two turning points of the head's drift, and of the lesser movement over it."""
_DRIFT = {"pitch": 0.06, "yaw": 0.1, "roll": 0.05, "shift_x": 0.03, "shift_y": 0.025, "scale": 0.03}
"""Standard deviations while talking, in the weights' units (0.1 of yaw is 2 degrees)."""
_IN_SILENCE = 0.35
_NOD = 0.12
_EYES = {"gaze_left": "yaw", "gaze_up": "pitch"}
_STAY = 20.0 / 25.0 * 0.8
"""How much of a turn the eyes take back: a unit of the head is 20 degrees, of the eyes 25; they take back most."""

_RATE = 100
"""Loudness values a second."""
_QUIET_DB, _LOUD_DB = -50.0, -20.0
_BLOCK = 256
"""Random numbers that are drawn together."""


@dataclass(frozen=True)
class IdleMotion:
    """`blinks` a minute (0: none), strength of the `head`'s movement (0: none, 1: as people talk), the `seed`, and the
    second on the shot's `clock` at which the voice begins."""

    blinks: float = 0.0
    head: float = 0.0
    seed: int = 0
    clock: float = 0.0


NO_IDLE_MOTION = IdleMotion()


def add_idle_motion(
    rows: Weights, layout: BankLayout, voice: Waveform, seconds: Times, life: IdleMotion
) -> Weights:
    """`rows` [frames, channels] of the voice's rising `seconds`, with blinks and movements of the head added."""
    if life.blinks <= 0 and life.head <= 0:
        return rows
    lively, loudness = rows.copy(), Loudness(voice)
    if life.head > 0:
        _move_head(lively, layout, loudness, seconds, life)
    if life.blinks > 0 and layout.has(*LIDS):
        closed = lids(loudness, seconds, life)
        for name in LIDS:
            channel = layout.index(name)
            lively[:, channel] += closed * (layout.bases[channel].maximum - lively[:, channel])
    return lively


# --- the voice -------------------------------------------------------------------------------------------------------


class Loudness:
    """How loud a voice is, 0 (quiet) to 1 (loud), at any second; outside it is silence."""

    def __init__(self, voice: Waveform) -> None:
        hop = SAMPLE_RATE // _RATE
        pieces = voice.samples[: len(voice.samples) // hop * hop].reshape(-1, hop)
        power = np.einsum("ij,ij->i", pieces, pieces, dtype=np.float64) / hop
        level = 10 * np.log10(np.maximum(_smooth(power, 0.03), 1e-12))
        self._loud = np.clip((level - _QUIET_DB) / (_LOUD_DB - _QUIET_DB), 0.0, 1.0)
        self._at = (np.arange(len(self._loud)) + 0.5) / _RATE

    def at(self, seconds: Times, smoothing: float = 0.0) -> Times:
        """The loudness, also over a time of about `smoothing` seconds."""
        if not len(self._loud):  # a voice of less than a hundredth of a second
            return np.zeros(len(seconds))
        curve = _smooth(self._loud, smoothing) if smoothing else self._loud
        return np.interp(seconds, self._at, curve, left=0.0, right=0.0)


def _smooth(values: Times, seconds: float) -> Times:
    """With a Gaussian of this standard deviation; outside is nothing."""
    if not len(values):
        return values
    reach = max(1, round(3 * seconds * _RATE))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (seconds * _RATE)) ** 2)
    return np.convolve(values, kernel / kernel.sum())[reach : reach + len(values)]


# --- blinks ----------------------------------------------------------------------------------------------------------


def lids(loudness: Loudness, seconds: Times, life: IdleMotion) -> Times:
    """How far the lids are closed by blinks, 0 to 1, at rising seconds of the voice."""
    closed = np.zeros(len(seconds))
    for moment in blink_times(loudness, float(seconds[0]), float(seconds[-1]), life):
        rising = (seconds - moment) / CLOSING_S + 1.0
        falling = (moment + CLOSED_S - seconds) / OPENING_S + 1.0
        closed = np.maximum(closed, _eased(np.minimum(rising, falling)))
    return closed


def _eased(values: Times) -> Times:
    inside = np.clip(values, 0.0, 1.0)
    return inside * inside * (3.0 - 2.0 * inside)


def blink_times(loudness: Loudness, first: float, last: float, life: IdleMotion) -> Times:
    """The seconds of the voice at which lids have just closed, of all blinks that show between `first` and `last`."""
    period = 60.0 / min(life.blinks, MOST_BLINKS)
    around = _PAUSE_S + _SHORTEST_S
    begin = int(np.floor((first + life.clock - around) / period)) - 1
    end = int(np.ceil((last + life.clock + around) / period)) + 1
    spread = min(0.45 * period, max(0.0, (period - _SHORTEST_S) / 2))
    chance = _normal(life.seed, "blinks", begin, end, 1)[:, 0]
    moments = (np.arange(begin, end) + 0.5) * period + spread * np.clip(chance / 2, -1.0, 1.0) - life.clock
    return _into_pauses(loudness, moments)


def _into_pauses(loudness: Loudness, moments: Times) -> Times:
    ways = np.arange(-_PAUSE_S, _PAUSE_S + _STEP_S / 2, _STEP_S)
    places = moments[:, None] + ways
    cost = loudness.at(places.ravel(), 0.05).reshape(places.shape) + 0.3 * np.abs(ways) / _PAUSE_S
    return places[np.arange(len(moments)), cost.argmin(axis=1)]


# --- the head --------------------------------------------------------------------------------------------------------


def _move_head(
    rows: Weights, layout: BankLayout, loudness: Loudness, seconds: Times, life: IdleMotion
) -> None:
    names = [name for name in _DRIFT if layout.has(name)]
    if not layout.has(*HEAD):
        return
    drift = 0.9 * _wander(life, "slow", seconds, _SLOW_S) + 0.4 * _wander(life, "fast", seconds, _FAST_S)
    talking = loudness.at(seconds, 0.35)
    amount = life.head * (_IN_SILENCE + (1.0 - _IN_SILENCE) * talking)
    moved = {name: amount * _DRIFT[name] * drift[:, i] for i, name in enumerate(_DRIFT)}
    moved["pitch"] -= life.head * _NOD * np.maximum(0.0, loudness.at(seconds, 0.08) - talking)
    for eyes, head in _EYES.items():
        if layout.has(eyes):
            moved[eyes] = -_STAY * moved[head]
            names.append(eyes)
    for name in names:
        channel = layout.index(name)
        basis, own = layout.bases[channel], rows[:, channel]
        low, high = np.minimum(own, basis.minimum), np.maximum(own, basis.maximum)
        rows[:, channel] = np.clip(own + moved[name], low, high)


def _wander(life: IdleMotion, name: str, seconds: Times, period: float) -> Times:
    """Smooth random curves [len(seconds), directions of the head], of about unit variance."""
    positions = (seconds + life.clock) / period
    begin = int(np.floor(positions[0])) - 1
    end = int(np.floor(positions[-1])) + 3
    knots = _normal(life.seed, name, begin, end, len(_DRIFT)).astype(np.float32)
    return interpolate(knots, positions - begin).astype(np.float64)


def _normal(seed: int, name: str, begin: int, end: int, columns: int) -> Times:
    """Standard normal numbers [end - begin, columns]; each row depends on its number, seed and name alone."""
    first, last = begin // _BLOCK, (end - 1) // _BLOCK
    words = [seed % 2**63, int.from_bytes(name.encode())]
    blocks = [
        np.random.default_rng([*words, block % 2**63]).standard_normal((_BLOCK, columns))
        for block in range(first, last + 1)
    ]
    start = begin - first * _BLOCK
    return np.concatenate(blocks)[start : start + end - begin]
