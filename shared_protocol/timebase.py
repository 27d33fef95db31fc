"""Converting frames to seconds and back: only this module multiplies or divides by a frame rate.

A time base maps a (possibly fractional) frame number to seconds of the voice. Frame rates are exact
rationals, as in Blender (`fps / fps_base`), so a long shot at 23.976 does not drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

MODEL_FPS = Fraction(25)
"""EDTalk's own frame rate, in frames a second: audio windows are cut for it, and performances are resampled from it."""

_NTSC = Fraction(1000, 1001)


def frame_rate(value: str | float | Fraction) -> Fraction:
    """Return the exact frame rate for 25, "30000/1001" or 23.976 (which stands for 24000/1001).

    Raises `ValueError` unless it is a number from 1 to 1000.
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
    """A mapping of frames to seconds: frame `start` is at second `offset` of the voice.

    `fps` is in frames a second (> 0). With a positive `offset`, frame `start` plays a later part of the voice.
    """

    fps: Fraction = MODEL_FPS
    start: int = 0
    offset: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if self.fps <= 0:
            raise ValueError(f"frame rate must be positive, not {self.fps}")

    @classmethod
    def from_blender(cls, fps: int, fps_base: float, start: int = 0, offset_frames: float = 0.0) -> TimeBase:
        """Return a scene's time base. `fps_base` is a float32 in Blender: 1.001 is taken as exactly 1001/1000."""
        as_typed = str(np.float32(fps_base))  # the shortest decimal that rounds to this float32
        rate = Fraction(fps) / Fraction(as_typed)
        return cls(rate, start, -Fraction(offset_frames).limit_denominator(100_000) / rate)

    def seconds(self, frame: float | Fraction) -> float:
        """Return the second of the voice at a frame."""
        return float((Fraction(frame) - self.start) / self.fps + self.offset)

    def all_seconds(self, count: int) -> npt.NDArray[np.float64]:
        """Return `seconds` of the frames `start`, `start` + 1, ..., [count]."""
        step = 1 / self.fps
        common = math.lcm(step.denominator, self.offset.denominator)
        first, each = int(self.offset * common), int(step * common)
        return np.array([(first + i * each) / common for i in range(count)], np.float64)

    def frame(self, seconds: float | Fraction) -> float:
        """Return the (fractional) frame at a second of the voice."""
        return float((Fraction(seconds) - self.offset) * self.fps + self.start)

    def all_frames(self, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return `frame` at each of many seconds, as exactly as floats can tell."""
        return (seconds - float(self.offset)) * float(self.fps) + self.start

    def frame_count(self, seconds: float | Fraction) -> int:
        """Return how many whole frames a duration in seconds fills; any positive duration fills at least one."""
        exact = Fraction(seconds).limit_denominator(1_000_000) * self.fps
        return max(1, int(exact)) if exact > 0 else 0
