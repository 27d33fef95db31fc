"""Files of weights over time, as `edtalk predict` and `edtalk capture` write them and `edtalk render --weights` and
*Import Performance* read them.

A .npz file holds `weights` [frames, channels], `names` [channels] and `fps` (numerator, denominator); where emotions
were predicted, `emotions` [frames, 8] and `emotion_names`. It may hold more. A .csv file has a line for each frame: its
number, its second, its weights by the names of the header, and the emotions as `emotion_NAME`.
"""

from __future__ import annotations

import csv
import io
import math
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import FloatArray
from .banks import BankLayout
from .emotions import EMOTIONS
from .errors import EDTalkError, ErrorCode
from .timebase import MODEL_FPS, TimeBase, frame_rate

FORMATS = (".npz", ".csv")
MOST_BYTES = 1 << 30
"""Bytes of a file, also unpacked: hours of weights are a tenth of it."""
_FEELING = "emotion_"
_FRAME, _SECONDS = "frame", "seconds"
_FIX = "Write it again with `edtalk predict` or `edtalk capture`."
_BROKEN = (
    *(ValueError, LookupError, TypeError, ArithmeticError, EOFError, RuntimeError, MemoryError),
    *(csv.Error, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What the readers of the two formats raise for files that are no such files, broken, or locked."""


class UnfitError(ValueError):
    """A reason, without a full stop, why a file cannot be understood."""


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """Weights [frames, channels] by `names` at an exact frame rate, and the emotions [frames, 8] in the order of
    `EMOTIONS`, where the file has any."""

    weights: FloatArray
    names: tuple[str, ...]
    fps: Fraction
    emotions: FloatArray | None = None

    def at_rate(self, fps: Fraction) -> WeightsFile:
        """Return the same movement at another frame rate: each frame at its second, between those of the file."""
        if fps == self.fps:
            return self
        count = TimeBase(fps).frame_count(Fraction(len(self.weights)) / self.fps)
        base = TimeBase(fps)
        frames = np.array([TimeBase(self.fps).frame(base.seconds(frame)) for frame in range(count)])
        felt = None if self.emotions is None else _between(self.emotions, frames)
        return replace(self, weights=_between(self.weights, frames), fps=fps, emotions=felt)

    def felt(self, gain: float) -> FloatArray | None:
        """Return the emotions times `gain`, [frames, 8] from 0 to 1; None where the file has none."""
        return None if self.emotions is None else np.clip(self.emotions * np.float32(gain), 0.0, 1.0)

    def one_emotion(self, name: str, intensity: float) -> FloatArray:
        """Return intensities [frames, 8] of one emotion alone, in place of the file's."""
        felt = np.zeros((len(self.weights), len(EMOTIONS)), np.float32)
        felt[:, EMOTIONS.index(name)] = intensity
        return felt

    def fitted(self, layout: BankLayout, rest: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
        """Return weights [frames, channels] of a layout, and the file's names that the layout lacks.

        What the file does not name stays at `rest` [channels]. Raises `EDTalkError` (BAD_WEIGHTS) where no name fits.
        """
        known = {basis.identifier: channel for channel, basis in enumerate(layout.bases)}
        if not any(name in known for name in self.names):
            raise EDTalkError(
                ErrorCode.BAD_WEIGHTS,
                "The weights of this file have other names than those of the model bundle.",
                "Use the bundle that the file was made with.",
            )
        weights = np.repeat(np.asarray(rest, np.float32).reshape(1, -1), len(self.weights), axis=0)
        for column, name in enumerate(self.names):
            if name in known:
                weights[:, known[name]] = self.weights[:, column]
        return weights, tuple(name for name in self.names if name not in known)


def _between(values: FloatArray, frames: np.ndarray) -> FloatArray:
    """Return values [rows, n] at fractional rows; the last one holds."""
    rows = np.arange(len(values))
    return np.stack([np.interp(frames, rows, column) for column in values.T], axis=1).astype(np.float32)


# --- reading ---------------------------------------------------------------------------------------------------


def read(path: Path) -> WeightsFile:
    """Read a file of weights. Raises `EDTalkError` (BAD_WEIGHTS), which names what is wrong with it."""
    if path.suffix.lower() not in FORMATS:
        raise _bad(f"“{path.name}” is no file of weights: those end in .npz or .csv.")
    try:
        found = (_from_csv if path.suffix.lower() == ".csv" else _from_npz)(_bytes(path))
    except OSError as error:
        raise _bad(f"The weights “{path.name}” could not be opened ({error.strerror or error}).") from error
    except _BROKEN as error:
        reason = str(error).strip("'").rstrip(".") or type(error).__name__
        raise _bad(f"The weights “{path.name}” cannot be understood ({reason}).") from error
    return found


def _bytes(path: Path) -> bytes:
    """Return a whole file; pipes and devices, which may never end, are refused before they are opened."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise UnfitError("it is no file")
    if facts.st_size > MOST_BYTES:
        raise UnfitError("it is larger than a gigabyte")
    return path.read_bytes()


def _from_npz(data: bytes) -> WeightsFile:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > MOST_BYTES:
            raise UnfitError("it unpacks to more than a gigabyte")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        numerator, denominator = (int(value) for value in arrays["fps"])
        names = tuple(map(str, arrays["names"]))
        weights = arrays["weights"]
        felt = arrays.get("emotions")
        order = tuple(map(str, arrays["emotion_names"])) if "emotion_names" in arrays else EMOTIONS
    return _checked(weights, names, frame_rate(Fraction(numerator, denominator)), felt, order)


def _from_csv(data: bytes) -> WeightsFile:
    rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"))) if row]
    if not rows:
        raise UnfitError("it is empty")
    head, table = rows[0], np.array([[float(cell) for cell in row] for row in rows[1:]])
    if head[:2] != [_FRAME, _SECONDS]:
        raise UnfitError("its first line must begin with frame,seconds")
    if not len(table) or table.ndim != 2 or table.shape[1] != len(head):
        raise UnfitError("it needs lines with as many numbers as its first line has names")
    felt = [column for column, name in enumerate(head) if name.startswith(_FEELING)]
    plain = [column for column in range(2, len(head)) if column not in felt]
    names = tuple(head[column] for column in plain)
    order = tuple(head[column].removeprefix(_FEELING) for column in felt)
    return _checked(table[:, plain], names, _rate(table[:, 1]), table[:, felt] if felt else None, order)


def _rate(seconds: np.ndarray) -> Fraction:
    """Return the frame rate of frames at these seconds (with six decimals). One frame has any."""
    if len(seconds) < 2:
        return MODEL_FPS
    span = seconds[-1] - seconds[0]
    if not span > 0:
        raise UnfitError("its seconds do not rise")
    return frame_rate(_simple((len(seconds) - 1) / span))


def _simple(rate: float) -> Fraction:
    """Return the whole or broadcast rate that a measured one stands for, else the measured one."""
    whole = Fraction(round(rate))
    near = [
        guess for guess in (whole, whole * Fraction(1000, 1001)) if math.isclose(guess, rate, rel_tol=2e-4)
    ]
    return min(near, key=lambda guess: abs(guess - rate)) if near else Fraction(rate).limit_denominator(1000)


def _checked(
    weights: Any, names: tuple[str, ...], fps: Fraction, felt: Any | None, order: tuple[str, ...]
) -> WeightsFile:
    """Return a file's content. Raises `UnfitError` where its parts do not fit together."""
    weights = np.asarray(weights, np.float32)
    if weights.ndim != 2 or not len(weights) or weights.shape[1] != len(names):
        raise UnfitError(f"its weights are of shape {weights.shape}, with {len(names)} names")
    if len(set(names)) != len(names):
        raise UnfitError("two of its weights have the same name")
    if not np.isfinite(weights).all():
        raise UnfitError("some of its weights are no numbers")
    return WeightsFile(weights, names, fps, None if felt is None else _felt(felt, order, len(weights)))


def _felt(felt: Any, order: tuple[str, ...], frames: int) -> FloatArray:
    """Return emotions [frames, 8] in our order; those that a file lacks are 0."""
    felt = np.asarray(felt, np.float32)
    if felt.shape != (frames, len(order)) or not np.isfinite(felt).all():
        raise UnfitError("its emotions do not fit its frames")
    columns = dict(zip(order, felt.T, strict=True))
    none = np.zeros(frames, np.float32)
    return np.stack([np.clip(columns.get(name, none), 0.0, 1.0) for name in EMOTIONS], axis=1)


def _bad(cause: str) -> EDTalkError:
    return EDTalkError(ErrorCode.BAD_WEIGHTS, cause, _FIX)


# --- writing ---------------------------------------------------------------------------------------------------


def as_npz(
    weights: FloatArray, names: Sequence[str], fps: Fraction, extras: Mapping[str, Any] | None = None
) -> bytes:
    """Return a .npz file with `weights` [frames, channels], `names` [channels], `fps` (numerator, denominator) and the
    `extras`."""
    buffer = io.BytesIO()
    rate = np.array([fps.numerator, fps.denominator])
    np.savez(buffer, weights=weights, names=np.array(list(names)), fps=rate, **(extras or {}))
    return buffer.getvalue()


def as_csv(
    weights: FloatArray, names: Sequence[str], fps: Fraction, extras: Mapping[str, Any] | None = None
) -> bytes:
    """Return a .csv file with a line for each frame: its number from 0, its second, its weights, and the emotions of
    the `extras`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if extras and "emotions" in extras:
        names = [*names, *(f"{_FEELING}{name}" for name in EMOTIONS)]
        weights = np.concatenate([weights, extras["emotions"]], axis=1)
    writer.writerow([_FRAME, _SECONDS, *names])
    time_base = TimeBase(fps)
    for frame, row in enumerate(weights):
        writer.writerow([frame, f"{time_base.seconds(frame):.6f}", *(f"{value:.6g}" for value in row)])
    return text.getvalue().encode("utf-8")
