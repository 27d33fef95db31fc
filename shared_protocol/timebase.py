"""Frames and seconds: the only place in the project that multiplies or divides by a frame rate.

A time base maps a (possibly fractional) frame number to seconds of the voice. Frame rates are exact
rationals, as in Blender (`fps / fps_base`), so that ten minutes at 23.976 do not drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

MODEL_FPS = Fraction(25)
"""EDTalk's own frame rate (audio windows are cut for it); a performance is resampled from and to it."""

_NTSC = Fraction(1000, 1001)


def frame_rate(value: str | float | Fraction) -> Fraction:
    """Return an exact frame rate from 25, "30000/1001" or 23.976 (broadcast rates are known by their short names).

    Raises `ValueError` for what is no number from 1 to 1000.
    """
    try:
        rate = Fraction(str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{value!r} is not a frame rate, such as 25 or 23.976") from error
    if not 1 <= rate <= 1000:
        raise ValueError(f"{value} frames a second are not between 1 and 1000")
    broadcast = round(rate) * _NTSC
    return broadcast if rate.denominator != 1 and abs(rate - broadcast) < Fraction(1, 100) else rate


@dataclass(frozen=True)
class TimeBase:
    """Frame `start` is at second `offset` of the voice; each further frame is `1 / fps` later.

    `fps` is the number of frames a second (> 0); `offset` moves the voice: positive plays a later part of it.
    """

    fps: Fraction = MODEL_FPS
    start: int = 0
    offset: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if self.fps <= 0:
            raise ValueError(f"frame rate must be positive, not {self.fps}")

    @classmethod
    def from_blender(cls, fps: int, fps_base: float, start: int = 0, offset_frames: float = 0.0) -> TimeBase:
        """A scene's time base. `fps_base` is a float32 in Blender: 1.001 is taken as exactly 1001/1000."""
        as_typed = str(np.float32(fps_base))  # the shortest decimal number that is stored so
        rate = Fraction(fps) / Fraction(as_typed)
        return cls(rate, start, -Fraction(offset_frames).limit_denominator(100_000) / rate)

    def seconds(self, frame: float | Fraction) -> float:
        """The second of the voice that belongs to a frame."""
        return float((Fraction(frame) - self.start) / self.fps + self.offset)

    def frame(self, seconds: float | Fraction) -> float:
        """The (fractional) frame at a second of the voice."""
        return float((Fraction(seconds) - self.offset) * self.fps + self.start)

    def frame_count(self, seconds: float | Fraction) -> int:
        """How many whole frames a duration fills, at least one for any positive duration."""
        exact = Fraction(seconds).limit_denominator(1_000_000) * self.fps
        return max(1, int(exact)) if exact > 0 else 0
