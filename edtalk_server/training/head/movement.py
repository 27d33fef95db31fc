"""Movements of a head that speaks, generated from published statistics.

What is taken from where (figures of neutral speech, in degrees):

* per sentence, deviations of 3.3 (pitch), 0.9 (yaw) and 0.8 (roll), ranges of 9.5, 2.3 and 2.3; a first canonical
  correlation with prosody of about 0.7; happy and angry about twice as fast (Busso et al. 2007);
* slow, usual and fast movements at 0.2 to 1.8, 1.9 to 3.6 and 3.7 to 7 Hz; moving in 90 % of the frames of speech and
  13 % of those of pauses; wide movements after long pauses (Hadar et al. 1983);
* of pitch accents, 42 % nod, 18 % nod and swing back up, 20 % swing to another pose; in 70 % of phrases the head sets
  out first; rolls are rare (Graf et al. 2002);
* the head's movements tell the loudness of the voice (Munhall et al. 2004);
* a nod is lowest at its stressed syllable on average (Alexanderson et al. 2013) or just before the accent (Tiede et al.
  2013).

Which accents nod is known less: that sharp movements fall on peaks of loudness and on stress (Hadar et al. 1983) is
read here as "the most prominent ones". How much of each makes up the deviations, and what the other emotions do, is our
choice. Axes: `banks.NATURAL_POSE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edtalk_server.arrays import Doubles, Floats
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND, Prosody
from edtalk_server.training.head import stress
from shared_protocol.emotions import EMOTIONS

PITCH, YAW, ROLL, SHIFT_X, SHIFT_Y, SCALE = range(6)
UNITS = np.array([20.0, 20.0, 20.0, 1.0, 1.0, 1.0])
"""Degrees (turns) or tenths of the picture (shifts, scale) of one natural unit."""
HABITS = 8
"""Normal numbers that say how somebody moves."""

_NOD, _NOD_UP, _SWING = 0.42, 0.18, 0.20
"""Shares of accents."""
_WHIM = 0.3
"""Deviation of what makes an accent nod beside its prominence, in deviations of prominence."""
_ACCENT_DELAY_S = (-0.03, 0.06)
"""Mean and deviation of a nod's lowest moment against the syllable's middle."""
_LEADS = 0.7
_LEAD_S, _LAG_S = (0.1, 0.3), (0.0, 0.2)
_POSE_MOVE_S = (0.35, 0.8)
_LONG_PAUSE_S = 0.8

_POSTURE = np.array([3.6, 0.85, 0.8, 0.03, 0.025, 0.04])
_WANDER = np.array([0.9, 0.5, 0.45, 0.025, 0.02, 0.025])
_TREMOR = np.array([0.05, 0.03, 0.03, 0.001, 0.001, 0.001])
_SWING_SIZE = np.array([0.9, 0.7, 0.5, 0.01, 0.01, 0.02])
_NOD_SIZE = 4.2
"""Degrees of a usual nod."""
_NOD_VARIES = 0.25
"""Deviation of the logarithm of a nod's size that nothing explains."""
_FOLLOW = 0.5
"""Degrees of pitch for a semitone of F0, smoothed."""
_BEAT = 2.8
"""Degrees that the head sinks for 20 dB of loudness above that of the half second around."""
_BEAT_S, _AROUND_S = 0.08, 0.3
"""Deviations of the windows that smooth loudness, and that tell what is usual around."""
_QUIET = 1.25
"""Loudness counts down to this below the loudest, in 20 dB."""
_NECK = np.array([[0.0, 0.012, 0.0], [0.012, 0.0, 0.0], [-0.006, 0.0, 0.0]])
"""Shifts and scale for a degree of pitch, yaw and roll: the head turns about the neck."""

_MANNERS = {  # size, tempo, and where the head is held: degrees of pitch, of roll
    "happy": (1.35, 1.5, 0.8, 0.5),
    "sad": (0.7, 0.7, -3.5, 0.8),
    "angry": (1.4, 1.5, -1.2, 0.0),
    "surprised": (1.3, 1.3, 2.2, 0.0),
    "fear": (0.95, 1.4, -0.6, 0.4),
    "disgusted": (1.1, 0.95, -0.8, 1.5),
    "contempt": (0.9, 0.9, 2.0, 1.0),
    "neutral": (1.0, 1.0, 0.0, 0.0),
}


@dataclass(frozen=True)
class Voice:
    """What is said: prosody rows [T, 8], all syllables, the accented ones among them."""

    rows: Floats
    syllables: Sequence[stress.Syllable]
    accents: Sequence[stress.Syllable]


@dataclass(frozen=True)
class Manner:
    """How somebody moves now: curves [T] of size, tempo and of where the head is held (degrees of pitch, of roll)."""

    size: Doubles
    tempo: Doubles
    pitch: Doubles
    roll: Doubles


class Gesture(Enum):
    """What the head does at an accent."""

    NOD = "nod"
    NOD_UP = "nod and swing back up"
    SWING = "swing to another pose"
    STILL = "nothing of its own"


def manner_of(emotions: Floats, habits: Doubles) -> Manner:
    """Return the manner of intensities [T, 8] and of a person's habits [8]."""
    table = np.array([_MANNERS[name] for name in EMOTIONS])
    size, tempo = (np.exp(emotions @ np.log(table[:, column])) for column in (0, 1))
    size, tempo = size * np.exp(0.2 * habits[0]), tempo * np.exp(0.12 * habits[3])
    return Manner(
        size, tempo, emotions @ table[:, 2] + 0.8 * habits[4], emotions @ table[:, 3] + 0.5 * habits[5]
    )


def move(voice: Voice, emotions: Floats, habits: Doubles, rng: np.random.Generator) -> Floats:
    """Return natural pose [T, 6] (`banks.NATURAL_POSE`) of somebody with these habits who says this."""
    manner = manner_of(emotions, habits)
    gate = speaking(voice.rows)
    gestures = gestures_of(voice.accents, rng)
    degrees = _postures(voice, gestures, manner, rng) + _wander(gate, manner, rng)
    degrees[:, PITCH] += np.exp(0.2 * habits[1]) * _nods(voice, gestures, manner, rng)
    degrees[:, PITCH] += (_FOLLOW + 0.08 * habits[6]) * manner.size * _followed_pitch(voice.rows, gate)
    degrees[:, PITCH] -= _BEAT * manner.size * _beats(voice.rows, gate)
    degrees[:, (YAW, ROLL)] *= np.exp(0.25 * habits[2])
    degrees[:, SHIFT_X:] *= np.exp(0.25 * habits[7])
    degrees[:, PITCH] += held(manner.pitch, gate)
    degrees[:, ROLL] += held(manner.roll, gate)
    degrees[:, SHIFT_X:] += (degrees[:, :3] - degrees[:, :3].mean(0)) @ _NECK.T
    return np.asarray(degrees / UNITS, np.float32)


def gestures_of(accents: Sequence[stress.Syllable], rng: np.random.Generator) -> list[Gesture]:
    """Return what the head does at each accent, at the published shares: the most prominent nod, the next swing."""
    drawn = np.array([one.prominence for one in accents]) + _WHIM * rng.standard_normal(len(accents))
    share = (np.argsort(np.argsort(-drawn)) + 0.5) / max(len(accents), 1)  # 0: the most prominent
    up = rng.random(len(accents)) < _NOD_UP / (_NOD + _NOD_UP)
    return [_gesture(float(one), bool(ends_up)) for one, ends_up in zip(share, up, strict=True)]


def _gesture(share: float, ends_up: bool) -> Gesture:
    if share < _NOD + _NOD_UP:
        return Gesture.NOD_UP if ends_up else Gesture.NOD
    return Gesture.SWING if share < _NOD + _NOD_UP + _SWING else Gesture.STILL


def speaking(rows: Floats) -> Doubles:
    """Return how much somebody speaks [T], 0 to 1: 0 in pauses, with edges of a tenth of a second."""
    return _smooth(stress.is_speech(rows).astype(np.float64), 0.06)


def held(curve: Doubles, gate: Doubles) -> Doubles:
    """Return a curve [T] that follows another only while somebody speaks, and stays where it is in pauses."""
    out = np.empty(len(curve))
    now = curve[0]
    rate = np.clip(2.5 * gate / FRAMES_PER_SECOND, 0.0, 1.0)
    steps = np.diff(curve, prepend=curve[0])
    for index, (wanted, step) in enumerate(zip(curve, steps, strict=True)):
        now += gate[index] * step + rate[index] * (wanted - now)
        out[index] = now
    return out


# --- the parts -------------------------------------------------------------------------------------------------------


def _postures(voice: Voice, gestures: Sequence[Gesture], manner: Manner, rng: np.random.Generator) -> Doubles:
    """Return a pose for each intonation unit and the swings of accents, joined by minimum-jerk movements [T, 6]."""
    seconds = np.arange(len(voice.rows)) / FRAMES_PER_SECOND
    curve, pose = np.zeros((len(seconds), 6)), np.zeros(6)
    for begin, length, target in sorted(_moves(voice, gestures, manner, rng), key=lambda one: one[0]):
        wanted = target if target[6] == 0 else np.append(pose + target[:6], 1.0)
        curve += _minimum_jerk((seconds - begin) / length)[:, None] * (wanted[:6] - pose)
        pose = wanted[:6]
    return curve


def _moves(
    voice: Voice, gestures: Sequence[Gesture], manner: Manner, rng: np.random.Generator
) -> list[tuple[float, float, Doubles]]:
    """Return movements: when they begin, how long they take, where to [6], and 1 for a swing, which is relative."""
    moves = []
    for phrase in stress.phrases(voice.rows):
        for number, start in enumerate(stress.unit_starts(phrase, voice.syllables, rng)):
            size, tempo = _at(manner.size, start), _at(manner.tempo, start)
            lead = rng.uniform(*_LEAD_S) if rng.random() < _LEADS else -rng.uniform(*_LAG_S)
            wide = 1.35 if number == 0 and phrase.pause > _LONG_PAUSE_S else 1.0
            target = rng.standard_normal(6) * _POSTURE * size * wide
            moves.append((start - lead, rng.uniform(*_POSE_MOVE_S) / tempo, np.append(target, 0.0)))
    for accent, gesture in zip(voice.accents, gestures, strict=True):
        if gesture is Gesture.SWING:
            size, tempo = _at(manner.size, accent.middle), _at(manner.tempo, accent.middle)
            length = rng.uniform(0.25, 0.45) / tempo
            swing = rng.standard_normal(6) * _SWING_SIZE * size
            begin = accent.middle + rng.normal(*_ACCENT_DELAY_S) - length / 2
            moves.append((begin, length, np.append(swing, 1.0)))
    return moves


def _nods(voice: Voice, gestures: Sequence[Gesture], manner: Manner, rng: np.random.Generator) -> Doubles:
    """Return the nods of accents [T] in degrees, downwards."""
    seconds = np.arange(len(voice.rows)) / FRAMES_PER_SECOND
    curve = np.zeros(len(seconds))
    for accent, gesture in zip(voice.accents, gestures, strict=True):
        if gesture not in (Gesture.NOD, Gesture.NOD_UP):
            continue
        tempo = _at(manner.tempo, accent.middle)
        moment = accent.middle + rng.normal(*_ACCENT_DELAY_S)
        size = _NOD_SIZE * _at(manner.size, moment) * np.exp(_NOD_VARIES * rng.standard_normal())
        size *= np.clip(0.55 + 0.45 * accent.prominence, 0.4, 1.7)
        down, up = rng.uniform(0.14, 0.22) / tempo, rng.uniform(0.2, 0.34) / tempo
        curve -= (
            size * _minimum_jerk((seconds - moment) / down + 1) * _minimum_jerk((moment - seconds) / up + 1)
        )
        if gesture is Gesture.NOD_UP:
            back = moment + up
            curve += (
                0.35
                * size
                * _minimum_jerk((seconds - back) / up + 1)
                * _minimum_jerk((back - seconds) / (1.3 * up) + 1)
            )
    return curve


def _wander(gate: Doubles, manner: Manner, rng: np.random.Generator) -> Doubles:
    """Return aimless movement [T, 6] that stops with the voice: slow (0.2 to 1.8 Hz) and a tremor (3.7 to 7 Hz)."""
    elapsed = np.cumsum(gate * manner.tempo)  # frames of a clock that stands still in pauses
    length = int(elapsed[-1]) + 8
    slow, fast = (_band(length, low, high, rng) for low, high in ((0.2, 1.8), (3.7, 7.0)))
    at = np.arange(length)
    drift = np.stack([np.interp(elapsed, at, column) for column in slow.T], axis=1)
    shiver = fast[: len(gate)] if length >= len(gate) else np.resize(fast, (len(gate), 6))
    return manner.size[:, None] * (drift * _WANDER + shiver * _TREMOR * gate[:, None])


def _band(length: int, low: float, high: float, rng: np.random.Generator) -> Doubles:
    """Return noise [length, 6] of unit variance between two frequencies."""
    size = max(64, 1 << (length - 1).bit_length())
    spectrum = np.fft.rfft(rng.standard_normal((size, 6)), axis=0)
    frequency = np.fft.rfftfreq(size, 1 / FRAMES_PER_SECOND)
    inside = (frequency >= low) & (frequency <= high)
    share = np.where(inside, np.maximum(frequency, low) ** -1.0, 0.0)  # slower movements are larger
    noise = np.fft.irfft(spectrum * share[:, None], size, axis=0)
    return np.asarray(noise[:length] / noise.std(axis=0))


def _followed_pitch(rows: Floats, gate: Doubles) -> Doubles:
    """Return F0 [T] in semitones, bridged where unvoiced, smoothed over a third of a second, still in pauses."""
    voiced = np.flatnonzero(rows[:, Prosody.PITCH])
    if not len(voiced):
        return np.zeros(len(rows))
    tones = np.interp(np.arange(len(rows)), voiced, np.clip(rows[voiced, Prosody.PITCH], -8, 8))
    return held(_smooth(tones, 0.3), gate)


def _beats(rows: Floats, gate: Doubles) -> Doubles:
    """Return how much louder [T] each moment is than the half second around, in 20 dB, still in pauses."""
    speech = rows[stress.is_speech(rows), Prosody.ENERGY]
    if not len(speech):
        return np.zeros(len(rows))
    loudest = float(np.quantile(speech, 0.95))
    level = np.clip(rows[:, Prosody.ENERGY].astype(np.float64), loudest - _QUIET, loudest)
    return (_smooth(level, _BEAT_S) - _smooth(level, _AROUND_S)) * gate**2


# --- small things ----------------------------------------------------------------------------------------------------


def _minimum_jerk(share: Doubles) -> Doubles:
    """Return 0 to 1 over 0 to 1 as a hand or head moves (Flash and Hogan 1985)."""
    x = np.clip(share, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)


def _at(curve: Doubles, second: float) -> float:
    return float(curve[min(max(int(second * FRAMES_PER_SECOND), 0), len(curve) - 1)])


def _smooth(curve: Doubles, seconds: float) -> Doubles:
    reach = max(1, round(3 * seconds * FRAMES_PER_SECOND))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (seconds * FRAMES_PER_SECOND)) ** 2)
    padded = np.pad(curve, reach, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")
