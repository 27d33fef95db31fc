"""How a voice is said, apart from its words: loudness, pitch, stress and pauses, 25 rows a second.

Every row depends on the sound around it alone (`REACH_S`), so a part of a voice gives the rows of the whole, and a long
voice needs little memory. The voice lies in endless silence: rows before and after it are those of a pause.
"""

from __future__ import annotations

import weakref
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Bools, Doubles, Floats
from edtalk_server.media.audio.mel import SAMPLE_RATE, SAMPLES_PER_FRAME, mel_basis
from edtalk_server.media.steps import Checkpoint, unwatched


class Prosody(IntEnum):
    """The columns of a row; units in brackets."""

    ENERGY = 0
    """Level [20 dB of full scale], -4 (silence) to 0."""
    ENERGY_CHANGE = 1
    """Change of the level from frame to frame [20 dB]."""
    PITCH = 2
    """F0 against the median of the 10 seconds around [semitones], -24 to 24; 0 where unvoiced."""
    PITCH_CHANGE = 3
    """Change of F0 from frame to frame [semitones], -6 to 6; 0 beside unvoiced frames."""
    VOICING = 4
    """How periodic the sound is, 0 to 1."""
    TILT = 5
    """Level above 1 kHz against the level below [20 dB], -3 to 3; 0 in silence."""
    ONSET = 6
    """How much the spectrum has just grown: mean rise of the mel bands [20 dB]."""
    SINCE_PAUSE = 7
    """Seconds since the last pause, at most 5; 0 in a pause."""


COLUMNS = len(Prosody)
"""Numbers of a row."""
FRAMES_PER_SECOND = SAMPLE_RATE // SAMPLES_PER_FRAME
"""Rows a second."""
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
"""Range of F0."""
SINCE_PAUSE_S = 5.0
"""Most seconds since a pause that a row tells."""

_WINDOW = 1024
"""Samples of one look at the sound: 64 ms, four periods of a low voice."""
_PITCH_RATE = SAMPLE_RATE // 2
_LOOKS = 2
"""Looks a frame."""
_HOP = SAMPLES_PER_FRAME // _LOOKS
_SPAN = 5 * FRAMES_PER_SECOND
"""Frames before and after a row over which the voice's usual pitch and level are taken."""
_SINCE = round(SINCE_PAUSE_S * FRAMES_PER_SECOND)
_NEAR = 8
"""Frames around a row that its local measures need."""
REACH_S = (_SPAN + _SINCE + _NEAR) / FRAMES_PER_SECOND
"""Seconds of sound before a row on which it depends; after it, half of that."""
_BLOCK = 2000
"""Rows that are computed together: 80 seconds."""
_PIECE = 256
"""Looks that are taken together: about a twentieth of a second of work."""

_SILENT_DB = -80.0
_AUDIBLE_DB = -60.0
"""Quieter looks are neither voiced nor loud, whatever is in them."""
_APERIODIC = 0.45
"""Least aperiodicity (YIN's d') of an unvoiced look."""
_DIP = 0.2
"""The first lag whose d' dips below this is the period (de Cheveigné and Kawahara 2002, step 4)."""
_PAUSE_FRAMES = 5
"""Frames of the shortest pause: 0.2 seconds; a stop's closure is shorter."""
_EPSILON = 1e-12


def prosody(samples: Floats, frames: int, first: int = 0, checkpoint: Checkpoint = unwatched) -> Floats:
    """Return rows [frames, 8] (`Prosody`) of the frames `first`, `first` + 1, ... of a mono voice [n] at 16 kHz.

    Frame i is centred on second i / 25. `first` may be negative, and frames may lie beyond the voice: there is silence.
    `checkpoint` is called between pieces of work.
    """
    last = first + frames
    start = min(max(first, -_SPAN - _NEAR), last)
    end = max(min(last, len(samples) // SAMPLES_PER_FRAME + _SPAN + _SINCE + _NEAR), start)
    blocks = [
        _block(samples, begin, min(begin + _BLOCK, end), checkpoint) for begin in range(start, end, _BLOCK)
    ]
    return np.concatenate([_silence(start - first), *blocks, _silence(last - end)])


def _silence(frames: int) -> Floats:
    """Return rows far from any sound."""
    rows = np.zeros((frames, COLUMNS), np.float32)
    rows[:, Prosody.ENERGY] = _SILENT_DB / 20.0
    return rows


def _block(samples: Floats, first: int, last: int, checkpoint: Checkpoint) -> Floats:
    begin, end = first - _SPAN - _SINCE - _NEAR, last + _SPAN + _NEAR
    level, tilt, onset, f0, voicing = _seen(samples, begin * _LOOKS, end * _LOOKS, checkpoint)
    level = level[::_LOOKS]
    voiced = _usual_pitch_removed(_steady(f0))
    rows = np.zeros((end - begin, COLUMNS))
    rows[:, Prosody.ENERGY] = level / 20.0
    rows[1:, Prosody.ENERGY_CHANGE] = np.diff(level) / 20.0
    rows[:, Prosody.PITCH] = np.nan_to_num(voiced)
    rows[1:, Prosody.PITCH_CHANGE] = np.clip(np.nan_to_num(np.diff(voiced)), -6.0, 6.0)
    rows[:, Prosody.VOICING] = voicing[::_LOOKS]
    rows[:, Prosody.TILT] = tilt[::_LOOKS]
    rows[:, Prosody.ONSET] = onset.reshape(-1, _LOOKS).mean(axis=1)
    rows[:, Prosody.SINCE_PAUSE] = _since_pause(_pauses(level))
    return rows[first - begin : last - begin].astype(np.float32)


# --- looks at the sound ----------------------------------------------------------------------------------------------


class _Seen(NamedTuple):
    """What looks at the sound show, [n] each: level [dB], tilt, onset strength, F0 [Hz] and voicing."""

    level: Doubles
    tilt: Doubles
    onset: Doubles
    f0: Doubles
    voicing: Doubles


_pieces: dict[int, tuple[weakref.ref[Floats], dict[int, _Seen]]] = {}
"""Of each living voice that nobody can change: head, lids and feelings ask for the same rows one after the other."""


def _pieces_of(samples: Floats) -> dict[int, _Seen]:
    """Return what is known of a voice by the number of the piece; kept as long as a read-only voice lives."""
    if samples.flags.writeable:
        return {}
    key = id(samples)
    known = _pieces.get(key)
    if known is None or known[0]() is not samples:
        known = weakref.ref(samples, lambda _: _pieces.pop(key, None)), {}
        _pieces[key] = known
    return known[1]


def _seen(samples: Floats, first: int, last: int, checkpoint: Checkpoint) -> _Seen:
    """Return what the looks `first` to `last` - 1 show."""
    pieces = _pieces_of(samples)
    numbers = range(first // _PIECE, -(-last // _PIECE))
    for number in numbers:
        if number not in pieces:
            checkpoint()
            pieces[number] = _look_at(samples, number * _PIECE)
    begin = numbers[0] * _PIECE
    columns = (
        np.concatenate([pieces[number][column] for number in numbers]) for column in range(len(_Seen._fields))
    )
    return _Seen(*(column[first - begin : last - begin] for column in columns))


def _look_at(samples: Floats, first: int) -> _Seen:
    looks = _looks(samples, first - 1, first + _PIECE)  # an onset is a change since the look before
    level, tilt, onset = (column[1:] for column in _spectral(looks))
    return _Seen(level, tilt, onset, *pitch(looks[1:]))


def _looks(samples: Floats, first: int, last: int) -> Doubles:
    """Return the looks `first` to `last` - 1 [n, 1024], each centred on its moment; zeros outside the voice."""
    begin = first * _HOP - _WINDOW // 2
    end = (last - 1) * _HOP + _WINDOW // 2
    inside = samples[max(begin, 0) : max(end, 0)].astype(np.float64)
    before = min(max(-begin, 0), end - begin)
    padded = np.pad(inside, (before, end - begin - before - len(inside)))
    return np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]


# --- level, tilt and onsets ------------------------------------------------------------------------------------------


def _spectral(looks: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return level [dB], tilt and onset strength of each look."""
    taper = np.hanning(_WINDOW + 1)[:-1]
    power = np.abs(np.fft.rfft(looks * taper)) ** 2 / (taper @ taper * _WINDOW / 2)
    split = round(1000 * _WINDOW / SAMPLE_RATE)
    low, high = power[:, 1:split].sum(axis=1), power[:, split:].sum(axis=1)
    level = np.maximum(10 * np.log10(low + high + _EPSILON), _SILENT_DB)
    tilt = np.clip(np.log10((high + 1e-9) / (low + 1e-9)) / 2, -3.0, 3.0)
    tilt[level < _AUDIBLE_DB] = 0.0
    bands = np.log10(power @ _bands().T + 1e-7) / 2
    onset = np.zeros(len(looks))
    onset[1:] = np.maximum(np.diff(bands, axis=0), 0.0).mean(axis=1)
    return level, tilt, onset


def _bands() -> Doubles:
    """Return 20 bands [20, 513] of equal width in mel: sums of four of the audio networks' bands, resampled."""
    basis = mel_basis().astype(np.float64)
    wide = basis.reshape(20, 4, -1).sum(axis=1)
    at = np.linspace(0, wide.shape[1] - 1, _WINDOW // 2 + 1)
    bands = np.array([np.interp(at, np.arange(wide.shape[1]), row) for row in wide])
    return np.asarray(bands / bands.sum(axis=1, keepdims=True) * 4)


# --- pitch -----------------------------------------------------------------------------------------------------------


def pitch(looks: Doubles) -> tuple[Doubles, Doubles]:
    """Return F0 in Hz (NaN where unvoiced) and voicing (0 to 1) of looks [n, 1024] at 16 kHz, by YIN.

    De Cheveigné and Kawahara 2002, Eqs. 6 to 8, without the search of step 6: the difference function by FFT, its
    cumulative mean normalisation, the first dip, and a parabola through it. Half the sample rate is plenty for 500 Hz.
    """
    dips = _normalized_difference(0.5 * (looks[:, ::2] + looks[:, 1::2]))
    shortest = int(_PITCH_RATE / HIGHEST_HZ)
    period = _first_dips(dips[:, shortest:]) + shortest
    rows = np.arange(len(looks))
    left, depth, right = (dips[rows, period + step] for step in (-1, 0, 1))
    bend = left - 2 * depth + right
    shift = np.where(bend > _EPSILON, 0.5 * (left - right) / np.maximum(bend, _EPSILON), 0.0)
    loud = 10 * np.log10(np.square(looks).mean(axis=1) * 2 + _EPSILON) > _AUDIBLE_DB
    voicing = np.clip(1.0 - depth / _APERIODIC, 0.0, 1.0) * loud
    f0 = _PITCH_RATE / (period + np.clip(shift, -1.0, 1.0))
    return np.where(voicing > 0, f0, np.nan), voicing


def _normalized_difference(looks: Doubles) -> Doubles:
    """Return YIN's d' [n, lags] at 8 kHz: 1 at lag 0, near 0 at the period."""
    lags = int(_PITCH_RATE / LOWEST_HZ) + 2
    size = looks.shape[1]
    length = size - lags  # so no lag reaches around the end of the transform
    centred = looks - looks.mean(axis=1, keepdims=True)
    start = np.fft.rfft(centred[:, :length], size)
    products = np.fft.irfft(np.conj(start) * np.fft.rfft(centred, size), size)[:, :lags]
    energy = np.cumsum(np.pad(np.square(centred), ((0, 0), (1, 0))), axis=1)
    shifted = energy[:, length : length + lags] - energy[:, :lags]
    difference = np.maximum(shifted[:, :1] + shifted - 2 * products, 0.0)
    mean = np.cumsum(difference, axis=1) / np.maximum(np.arange(lags), 1)
    normalized = difference / np.maximum(mean, _EPSILON)
    normalized[:, 0] = 1.0
    normalized[shifted[:, 0] < _EPSILON] = 1.0
    return normalized


def _first_dips(dips: Doubles) -> npt.NDArray[np.int64]:
    """Return the first local minimum below the threshold in each row, else the lowest place (not at the very ends)."""
    left, inner, right = dips[:, :-2], dips[:, 1:-1], dips[:, 2:]
    is_dip = (inner <= left) & (inner < right)
    bend = np.maximum(left + right - 2 * inner, _EPSILON)
    depths = np.where(is_dip, inner - np.square(left - right) / (8 * bend), np.inf)  # of a parabola's vertex
    deep = depths < np.maximum(_DIP, depths.min(axis=1) + 0.1)[:, None]
    return np.asarray(np.where(deep.any(axis=1), deep.argmax(axis=1), inner.argmin(axis=1)) + 1)


def _steady(f0: Doubles) -> Doubles:
    """Return semitones (of 1 Hz) of each frame: the median of the looks around it, so that one slip does not count."""
    tones = 12 * np.log2(f0)
    padded = np.pad(tones, 2, constant_values=np.nan)
    around = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5)[::_LOOKS], axis=1)  # NaN last
    voiced = np.isfinite(around).sum(axis=1)
    median = around[np.arange(len(around)), np.maximum(voiced - 1, 0) // 2]
    return np.where((voiced >= 3) & np.isfinite(tones[::_LOOKS]), median, np.nan)


def _usual_pitch_removed(tones: Doubles) -> Doubles:
    usual = _running_quantile(tones, 0.5)
    return np.asarray(np.clip(tones - usual, -24.0, 24.0))


def _running_quantile(values: Doubles, share: float) -> Doubles:
    """Return the quantile of the numbers among the 251 frames around each frame; NaN where there are none."""
    padded = np.pad(values, _SPAN, constant_values=np.nan)
    around = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 2 * _SPAN + 1), axis=1)  # NaN last
    known = np.isfinite(around).sum(axis=1)
    place = np.floor(share * np.maximum(known - 1, 0) + 0.5).astype(int)
    return np.asarray(around[np.arange(len(around)), place])


# --- pauses ----------------------------------------------------------------------------------------------------------


def _pauses(level: Doubles) -> Bools:
    """Return which frames lie in a pause: at least 0.2 seconds much quieter than the voice around."""
    heard = np.where(level > _AUDIBLE_DB, level, np.nan)
    loud, floor = _running_quantile(heard, 0.9), _running_quantile(heard, 0.05)
    threshold = np.clip(floor + 6.0, loud - 35.0, loud - 18.0)
    quiet = np.logical_not(level > np.fmax(threshold, _AUDIBLE_DB))
    run: Bools = np.asarray(np.lib.stride_tricks.sliding_window_view(quiet, _PAUSE_FRAMES).all(axis=1))
    pauses = np.zeros(len(level), bool)
    for offset in range(_PAUSE_FRAMES):
        pauses[offset : offset + len(run)] |= run
    return pauses


def _since_pause(pauses: Bools) -> Doubles:
    frames = np.arange(len(pauses))
    last = np.maximum.accumulate(np.where(pauses, frames, -_SINCE))
    return np.minimum(frames - last, _SINCE) / FRAMES_PER_SECOND
