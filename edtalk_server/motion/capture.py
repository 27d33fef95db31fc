"""From a driving video to a performance: what the driver's face does, added to the portrait's own face.

The bundle's own motion encoder (paper section 3.2) estimates the weights of every picture. By default the change since
the moment in which the driver looks most like the portrait drives the portrait, so that the driver's features are not
copied.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edtalk_server.media.faces.portrait import LandmarkDetector
from edtalk_server.media.faces.presence import FacePresence
from edtalk_server.media.steps import Step, Steps
from edtalk_server.media.video.reader import Clip, Picture
from edtalk_server.motion.curves import interpolate
from edtalk_server.motion.performance import check_source_weights
from edtalk_server.motion.track import FaceTrack, cut_faces, find_track
from shared_protocol.banks import Bank, BankLayout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase

Weights = npt.NDArray[np.float32]

SMOOTHING_S = {Bank.MOUTH: 0.03, Bank.POSE: 0.07, Bank.EXPRESSION: 0.03}
"""Standard deviations of the Gaussians that take the reader's noise off the weights; a blink lasts 0.2 s."""

_MARGIN_S = 0.5
_SPOILT_S = 0.08
"""Around a moment without a face the readings are not believed."""
_PLACE = ("shift_x", "shift_y", "scale")
"""Bases that say where the head stands in the crop (docs/bundles.md)."""
_STAGE = "reading the face"
_NAMED = 3


Zero = Literal["nearest", "calmest"]
"""Which moment of the driver counts as the portrait's own face; a number of seconds names one."""


@dataclass(frozen=True)
class CaptureSettings:
    """How a driver's weights become the portrait's.

    `zero`: the driver's moment that stands for the portrait's own face: `nearest` (the one whose weights are nearest to
    the portrait's), `calmest` (little movement, near rest) or a second of the video. `absolute`: take the driver's
    weights as they are, in place of their change since that moment. `strength` of each bank: 0 leaves the portrait's
    own weights, 1 is the driver's movement, 2 twice as much.
    """

    zero: Zero | float = "nearest"
    absolute: bool = False
    strength: Mapping[Bank, float] = field(default_factory=dict)

    def strengths(self, layout: BankLayout) -> npt.NDArray[np.float64]:
        """Return the strength of each channel [channels]."""
        return np.array([self.strength.get(basis.bank, 1.0) for basis in layout.bases])


DEFAULT_SETTINGS = CaptureSettings()


class Captured(NamedTuple):
    """Weights [frames, channels], and sentences for people about the video."""

    weights: Weights
    notes: tuple[str, ...]


class Reader(Protocol):
    """What capturing needs of an engine (`edtalk_server.engine.Engine`)."""

    size: int
    batch: int

    def estimate(self, pictures: Picture) -> Weights: ...

    def landmark_detector(self) -> LandmarkDetector | None: ...


@dataclass(frozen=True)
class _Span:
    """The pictures that are read: `count` of them, the first at second `begin`, `fps` a second."""

    begin: Fraction
    fps: Fraction
    count: int

    def second(self, index: int) -> float:
        return float(self.begin + index / self.fps)


@dataclass(frozen=True)
class _Readings:
    """Weights [n, channels] of the pictures of a span; `seen` [n] is False where there was no face."""

    span: _Span
    rows: Weights
    seen: npt.NDArray[np.bool_]


def capture(
    engine: Reader,
    layout: BankLayout,
    source_weights: npt.ArrayLike,
    clip: Clip,
    time_base: TimeBase,
    frames: int = 0,
    settings: CaptureSettings = DEFAULT_SETTINGS,
) -> Steps[Captured]:
    """The performance of a driving video. Row i is the video at the second of frame `time_base.start + i`.

    `frames` = 0 goes to the end of the video. Before and after the video its first and last pictures hold. Where no
    face is seen, the weights lead from the last seen to the next. Memory does not grow with the pictures.
    Raises `EDTalkError`: NO_FACE, VIDEO_UNREADABLE, EMPTY_RANGE, BAD_WEIGHTS, OUT_OF_MEMORY.
    """
    own = check_source_weights(source_weights, len(layout))
    count = frames or time_base.frame_count(Fraction(clip.duration) - time_base.offset)
    if count < 1:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            "The frame range holds nothing of the video.",
            "Check the start and end frame and where the video begins.",
        )
    seconds = np.array([time_base.seconds(time_base.start + i) for i in range(count)])
    span = _span(clip, float(seconds[0]), float(seconds[-1]), time_base.fps)
    track = yield from find_track(
        clip, float(span.begin), span.second(span.count - 1), engine.landmark_detector()
    )
    readings = yield from _read(engine, clip, track, span)
    driver = _smooth(_bridged(readings), layout, readings.span.fps)
    zero = own if settings.absolute else driver[_zero(driver, readings, layout, own, settings.zero)]
    change = _at(driver - zero, readings.span, seconds)
    weights = _within_ranges(own + change * settings.strengths(layout), own, layout)
    return Captured(weights, (*track.notes, *_gaps(readings)))


def _span(clip: Clip, first: float, last: float, fps: Fraction) -> _Span:
    """What to read: a little more than asked for, and always something of the video."""
    rate = clip.fps / max(1, math.floor(clip.fps / max(Fraction(24), fps)))
    end = min(last + _MARGIN_S, clip.duration)
    begin = max(0.0, min(first, clip.duration) - _MARGIN_S)
    start = math.floor(begin * rate)
    return _Span(start / rate, rate, max(1, math.ceil(max(end, begin) * rate) - start + 1))


def _read(engine: Reader, clip: Clip, track: FaceTrack, span: _Span) -> Steps[_Readings]:
    presence = FacePresence()
    rows: list[Weights] = []
    seen: list[bool] = []
    faces = cut_faces(clip, track, engine.size, span.fps, span.begin, span.count)
    with contextlib.closing(faces) as pictures:
        while batch := list(itertools.islice(pictures, engine.batch)):
            yield Step(len(seen), span.count, _STAGE)
            rows.append(engine.estimate(np.stack(batch)))
            seen += [presence.sees(picture) for picture in batch]
    if not any(seen):
        raise EDTalkError(
            ErrorCode.NO_FACE,
            "No face was found in this part of the video.",
            "Check the frame range, and where the video begins.",
        )
    return _Readings(span, np.concatenate(rows), _surely(np.array(seen), span.fps))


# --- from readings to a performance ---


def _surely(seen: npt.NDArray[np.bool_], fps: Fraction) -> npt.NDArray[np.bool_]:
    """Without those that are close to a moment without a face; as it was where none would be left."""
    reach = math.ceil(_SPOILT_S * fps)
    kernel = np.ones(2 * reach + 1)
    sure = np.convolve(~seen, kernel)[reach : reach + len(seen)] < 0.5
    return sure if sure.any() else seen


def _bridged(readings: _Readings) -> npt.NDArray[np.float64]:
    """The rows, led in a straight line over those without a face; the first and last hold."""
    places = np.flatnonzero(readings.seen)
    everywhere = np.arange(len(readings.rows))
    columns = [np.interp(everywhere, places, column[places]) for column in readings.rows.T.astype(np.float64)]
    return np.stack(columns, axis=1)


def _smooth(rows: npt.NDArray[np.float64], layout: BankLayout, fps: Fraction) -> npt.NDArray[np.float64]:
    smoothed = rows.copy()
    for bank, seconds in SMOOTHING_S.items():
        deviation = seconds * float(fps)
        reach = math.ceil(3 * deviation)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
        part = layout.slice_of(bank)
        held = np.pad(rows[:, part], ((reach, reach), (0, 0)), mode="edge")
        for offset, share in enumerate(kernel / kernel.sum()):
            moved = held[offset : offset + len(rows)] * share
            smoothed[:, part] = moved if offset == 0 else smoothed[:, part] + moved
    return smoothed


def _zero(
    rows: npt.NDArray[np.float64], readings: _Readings, layout: BankLayout, own: Weights, zero: Zero | float
) -> int:
    """Return the index of the picture that stands for the portrait's own face."""
    if zero == "nearest":
        return _nearest(rows, readings.seen, layout, own)
    if zero == "calmest":
        return _calmest(rows, readings.seen, layout)
    index = round((Fraction(zero) - readings.span.begin) * readings.span.fps)
    return min(max(index, 0), len(rows) - 1)


def _nearest(
    rows: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], layout: BankLayout, own: Weights
) -> int:
    """Return the picture whose weights are nearest to the portrait's, each measured in widths of its range.

    Where the head stands in the picture does not count: video and portrait are cropped each by its own face.
    """
    counts = np.array([basis.identifier not in _PLACE for basis in layout.bases])
    away = np.square((rows - own) / _extents(layout))[:, counts].sum(axis=1)
    return int(np.argmin(np.where(seen, away, np.inf)))


def _calmest(rows: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], layout: BankLayout) -> int:
    """Return the picture in which the face rests: little movement, and every weight near its place of rest.

    A weight that only goes one way (an open jaw, a smile) rests at its lowest; the others where they mostly are.
    """
    lows = np.array([basis.minimum for basis in layout.bases])
    usual = np.median(rows[seen], axis=0)
    rest = np.where(lows == 0.0, np.minimum(usual, 0.0), usual)
    away = np.square((rows - rest) / _extents(layout)).sum(axis=1)
    speed = np.square(np.gradient(rows, axis=0) / _extents(layout)).sum(axis=1) if len(rows) > 1 else 0.0
    return int(np.argmin(np.where(seen, away + speed, np.inf)))


def _extents(layout: BankLayout) -> npt.NDArray[np.float64]:
    """Return the width of each weight's range [channels]."""
    return np.array([basis.maximum - basis.minimum for basis in layout.bases])


def _at(
    rows: npt.NDArray[np.float64], span: _Span, seconds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The rows at given seconds of the video; before and after it the first and last hold."""
    places = np.array([(Fraction(second) - span.begin) * span.fps for second in seconds], np.float64)
    held = np.concatenate([rows[:1], rows, rows[-1:], rows[-1:]]).astype(np.float32)
    return interpolate(held, np.clip(places, 0.0, len(rows) - 1.0) + 1.0).astype(np.float64)


def _within_ranges(rows: npt.NDArray[np.float64], own: Weights, layout: BankLayout) -> Weights:
    """Keep every weight in its basis' range, which is widened only where the portrait's own weight lies outside."""
    lowest = np.minimum([basis.minimum for basis in layout.bases], own)
    highest = np.maximum([basis.maximum for basis in layout.bases], own)
    return np.clip(rows, lowest, highest).astype(np.float32)


def _gaps(readings: _Readings) -> tuple[str, ...]:
    """Sentences on where no face was seen."""
    missing = np.flatnonzero(~readings.seen)
    if not len(missing):
        return ()
    runs = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    at = [f"{readings.span.second(run[0]):.1f}–{readings.span.second(run[-1]):.1f}" for run in runs]
    places = ", ".join([*at[:_NAMED], *(["…"] if len(at) > _NAMED else [])])
    return (f"No face was seen in seconds {places} of the video; the movement leads over it.",)
