"""From a driving video to a performance: the movement of the driver's face, added to the portrait's own face.

The bundle's motion encoder (paper section 3.1) estimates the weights of every picture; then its generator follows the
face (`engine.following`): it redraws every picture from one of them and corrects the estimates. By default the change
since the moment in which the driver looks most like the portrait drives the portrait, so that the driver's features are
not copied.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Bools, Doubles, Picture, Weights
from edtalk_server.engine.following.reach import PLACE, reach_of
from edtalk_server.media.faces.detection import finding_faces
from edtalk_server.media.faces.portrait import LandmarkDetector, cut
from edtalk_server.media.faces.portrait_quality import Verdict, assess_portrait
from edtalk_server.media.faces.presence import FacePresence
from edtalk_server.media.steps import Step, Steps
from edtalk_server.media.video.reader import Clip
from edtalk_server.motion.curves import interpolate, without_noise
from edtalk_server.motion.performance import check_source_weights
from edtalk_server.motion.track import FaceTrack, cut_faces, find_track
from shared_protocol.banks import Bank, BankLayout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase

SMOOTHING_S = {Bank.MOUTH: 0.03, Bank.POSE: 0.07, Bank.EXPRESSION: 0.03}
"""Standard deviations in seconds of the temporal Gaussian that removes estimation noise; a blink lasts 0.2 s."""
NOISE = 0.05
"""Standard deviation of that noise in weight units: what moves further within the Gaussian is movement, and stays."""

_MARGIN_S = 0.5
"""Seconds that are estimated before and after the requested ones."""
_UNRELIABLE_S = 0.08
"""Seconds around a moment without a face in which estimates are not trusted."""
_STAGE, _FOLLOWING = "reading the face", "following the face"
_SAME_FACE = 0.05
"""Sum of squared differences, in widths of the ranges, by which readings of one face in two crops differ."""
_SAME_PICTURE = 0.02
"""The same for two readings of one picture in one crop, once as a file and once in a compressed video."""
_STILL_SIDE = 1280
"""Longer side in pixels of the first picture when it is compared with the portrait."""
_MAX_GAPS_NAMED = 3
"""Gaps that the note about missing faces lists."""


@dataclass(frozen=True)
class CaptureSettings:
    """How a driver's weights become the portrait's.

    `zero`: the driver's moment that stands for the portrait's own face: `nearest` (the one whose weights are nearest to
    the portrait's), `calmest` (little movement, near rest) or a second of the video. `absolute`: take the driver's
    weights as they are, in place of their change since that moment. `strength` of each bank: 0 leaves the portrait's
    own weights, 1 is the driver's movement, 2 twice as much.
    """

    zero: str | float = "nearest"
    absolute: bool = False
    strength: Mapping[Bank, float] = field(default_factory=dict)
    follow: bool = True

    @property
    def is_nearest(self) -> bool:
        """Does the driver's moment that looks most like the portrait stand for it?"""
        return self.zero == "nearest" and not self.absolute

    def strengths(self, layout: BankLayout) -> Doubles:
        """Return the strength of each channel [channels]."""
        return np.array([self.strength.get(basis.bank, 1.0) for basis in layout.bases])


DEFAULT_SETTINGS = CaptureSettings()


class Captured(NamedTuple):
    """Weights [frames, channels], and notes about the video for people."""

    weights: Weights
    notes: tuple[str, ...]


class FaceFollower(Protocol):
    """Corrects estimates picture by picture (`edtalk_server.engine.following.follower.Follower`)."""

    def follow(self, picture: Picture, estimate: Weights) -> Weights: ...

    def forget(self) -> None: ...


class MotionEstimator(Protocol):
    """What capturing needs of an engine (`edtalk_server.engine.Engine`)."""

    size: int
    batch: int

    def estimate(self, pictures: Picture) -> Weights: ...

    def follower(self, picture: Picture) -> FaceFollower | None: ...

    def landmark_detector(self) -> LandmarkDetector | None: ...


@dataclass(frozen=True)
class _Span:
    """The pictures to estimate: `count` of them, the first at second `begin`, `fps` per second."""

    begin: Fraction
    fps: Fraction
    count: int

    def second(self, index: int) -> float:
        return float(self.begin + index / self.fps)


@dataclass(frozen=True)
class _Estimates:
    """Weights [n, channels] of the pictures of a span; `seen` [n] is False where there was no face."""

    span: _Span
    rows: Weights
    seen: Bools


def capture(
    engine: MotionEstimator,
    layout: BankLayout,
    source_weights: npt.ArrayLike,
    clip: Clip,
    time_base: TimeBase,
    frames: int = 0,
    settings: CaptureSettings = DEFAULT_SETTINGS,
) -> Steps[Captured]:
    """Capture the performance of a driving video. Row i is the video at the second of frame `time_base.start + i`.

    `frames` = 0 goes to the end of the video. Before and after the video its first and last pictures are held. Where no
    face is seen, the weights go straight from the last seen to the next. Memory does not grow with the video.
    Raises `EDTalkError`: NO_FACE, VIDEO_UNREADABLE, EMPTY_RANGE, BAD_WEIGHTS, OUT_OF_MEMORY.
    """
    own = check_source_weights(source_weights, len(layout))
    count = frames or time_base.frame_count(Fraction(clip.duration) - time_base.offset)
    if count < 1:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            "The video lies outside the frame range.",
            "Check the start and end frame and where the video begins.",
        )
    seconds = time_base.all_seconds(count)
    span = _span(clip, float(seconds[0]), float(seconds[-1]), time_base.fps)
    track = yield from find_track(
        clip, float(span.begin), span.second(span.count - 1), engine.landmark_detector()
    )
    may_be_still = track.is_steady and settings.is_nearest
    still = (yield from _still(engine, clip, layout, own)) if may_be_still else None
    estimates = yield from _estimate(engine, clip, still or track, span)
    driver = _smoothed(_bridged(estimates), layout, estimates.span.fps)
    moment = _zero(driver, estimates, layout, own, settings)
    if settings.follow:
        begin = Fraction(0) if still else span.begin + moment / span.fps
        estimates = yield from _followed(engine, clip, still or track, estimates, begin)
        driver = _smoothed(_bridged(estimates), layout, estimates.span.fps)
    zero = own if settings.absolute or still else driver[moment]
    change = _at(driver - zero, estimates.span, seconds)
    weights = _within_ranges(own + change * settings.strengths(layout), own, layout)
    return Captured(weights, (*track.notes, *_gaps(estimates)))


def _span(clip: Clip, first: float, last: float, fps: Fraction) -> _Span:
    """Return the pictures to estimate: a little more than requested, and always a part of the video."""
    rate = clip.fps / max(1, math.floor(clip.fps / max(Fraction(24), fps)))
    end = min(last + _MARGIN_S, clip.duration)
    begin = max(0.0, min(first, clip.duration) - _MARGIN_S)
    start = math.floor(begin * rate)
    return _Span(start / rate, rate, max(1, math.ceil(max(end, begin) * rate) - start + 1))


def _still(engine: MotionEstimator, clip: Clip, layout: BankLayout, own: Weights) -> Steps[FaceTrack | None]:
    """Return the crop of the video's first picture where the portrait is a still of it; else None.

    Cropped as a portrait, it then reads as the portrait did. Read in that crop the head goes exactly where the film's
    goes, and no moment has to be found that stands for the portrait.
    """
    picture = clip.picture_at(0.0, _STILL_SIDE)
    if picture is None:
        return None
    faces = yield from finding_faces(picture)
    report = assess_portrait(picture, faces, engine.landmark_detector(), None)
    if report.verdict is Verdict.NO_FACE:
        return None
    read = engine.estimate(cut(picture, report.crop, engine.size)[None])[0]
    away = float(np.square((read - own) / _extents(layout)).sum())
    return FaceTrack.steady(picture, report.crop) if away < _SAME_PICTURE else None


def _estimate(engine: MotionEstimator, clip: Clip, track: FaceTrack, span: _Span) -> Steps[_Estimates]:
    presence = FacePresence()
    rows: list[Weights] = []
    has_face: list[bool] = []
    faces = cut_faces(clip, track, engine.size, span.fps, span.begin, span.count)
    with contextlib.closing(faces) as pictures:
        while batch := list(itertools.islice(pictures, engine.batch)):
            yield Step(len(has_face), span.count, _STAGE)
            rows.append(engine.estimate(np.stack(batch)))
            has_face += [presence.sees(picture) for picture in batch]
    if not any(has_face):
        raise EDTalkError(
            ErrorCode.NO_FACE,
            "No face was found in this part of the video.",
            "Check the frame range, and where the video begins.",
        )
    return _Estimates(span, np.concatenate(rows), _reliable(np.array(has_face), span.fps))


def _followed(
    engine: MotionEstimator, clip: Clip, track: FaceTrack, estimates: _Estimates, begin: Fraction
) -> Steps[_Estimates]:
    """Correct the estimates by redrawing every picture from the one at second `begin`."""
    span, rows = estimates.span, estimates.rows.copy()
    with contextlib.closing(cut_faces(clip, track, engine.size, span.fps, begin, 1)) as pictures:
        follower = engine.follower(next(pictures))
    if follower is None:
        return estimates
    faces = cut_faces(clip, track, engine.size, span.fps, span.begin, len(rows))
    with contextlib.closing(faces) as pictures:
        for index, picture in enumerate(pictures):
            yield Step(index, len(rows), _FOLLOWING)
            if estimates.seen[index]:
                rows[index] = follower.follow(picture, rows[index])
            else:
                follower.forget()
    return replace(estimates, rows=rows)


# --- from estimates to a performance ---


def _reliable(has_face: Bools, fps: Fraction) -> Bools:
    """Drop moments close to one without a face; if none would remain, keep all."""
    reach = math.ceil(_UNRELIABLE_S * fps)
    kernel = np.ones(2 * reach + 1)
    reliable = np.convolve(~has_face, kernel)[reach : reach + len(has_face)] < 0.5
    return reliable if reliable.any() else has_face


def _bridged(estimates: _Estimates) -> Doubles:
    """Return the rows with straight lines over those without a face; the first and last are held."""
    places = np.flatnonzero(estimates.seen)
    everywhere = np.arange(len(estimates.rows))
    columns = [
        np.interp(everywhere, places, column[places]) for column in estimates.rows.T.astype(np.float64)
    ]
    return np.stack(columns, axis=1)


def _smoothed(rows: Doubles, layout: BankLayout, fps: Fraction) -> Doubles:
    smoothed = rows.copy()
    for bank, seconds in SMOOTHING_S.items():
        part = layout.slice_of(bank)
        smoothed[:, part] = without_noise(rows[:, part], seconds * float(fps), NOISE)
    return smoothed


def _zero(
    rows: Doubles, estimates: _Estimates, layout: BankLayout, own: Weights, settings: CaptureSettings
) -> int:
    """Return the index of the picture that stands for the portrait's own face; if none does, a usual one."""
    if settings.absolute:
        return _nearest(rows, estimates.seen, layout, np.median(rows[estimates.seen], axis=0))
    zero = settings.zero
    if zero == "nearest":
        return _nearest(rows, estimates.seen, layout, own)
    if zero == "calmest":
        return _calmest(rows, estimates.seen, layout)
    index = round((Fraction(zero) - estimates.span.begin) * estimates.span.fps)
    return min(max(index, 0), len(rows) - 1)


def _nearest(rows: Doubles, reliable: Bools, layout: BankLayout, own: Weights | Doubles) -> int:
    """Return the picture whose weights are nearest to the portrait's, each measured in widths of its range.

    The head's place in the picture does not count: video and portrait are each cropped by their own face. So where the
    first picture looks as much like the portrait as readings can tell, it is taken: a still of a film is mostly its
    first, and then the head begins where the portrait has it.
    """
    counts = np.array([basis.identifier not in PLACE for basis in layout.bases])
    away = np.square((rows - own) / _extents(layout))[:, counts].sum(axis=1)
    nearest = int(np.argmin(np.where(reliable, away, np.inf)))
    as_near = reliable[0] and away[0] <= 1.25 * away[nearest] + _SAME_FACE
    return 0 if as_near else nearest


def _calmest(rows: Doubles, reliable: Bools, layout: BankLayout) -> int:
    """Return the picture in which the face rests: little movement, and every weight near its rest.

    A weight that only goes one way (an open jaw, a smile) rests at its lowest, the others at their median.
    """
    lows = np.array([basis.minimum for basis in layout.bases])
    usual = np.median(rows[reliable], axis=0)
    rest = np.where(lows == 0.0, np.minimum(usual, 0.0), usual)
    away = np.square((rows - rest) / _extents(layout)).sum(axis=1)
    speed = np.square(np.gradient(rows, axis=0) / _extents(layout)).sum(axis=1) if len(rows) > 1 else 0.0
    return int(np.argmin(np.where(reliable, away + speed, np.inf)))


def _extents(layout: BankLayout) -> Doubles:
    """Return the width of each weight's range [channels]."""
    return np.array([basis.maximum - basis.minimum for basis in layout.bases])


def _at(rows: Doubles, span: _Span, seconds: Doubles) -> Doubles:
    """Return the rows at given seconds of the video; before and after it the first and last are held."""
    places = np.array([(Fraction(second) - span.begin) * span.fps for second in seconds], np.float64)
    held = np.concatenate([rows[:1], rows, rows[-1:], rows[-1:]]).astype(np.float32)
    return interpolate(held, np.clip(places, 0.0, len(rows) - 1.0) + 1.0).astype(np.float64)


def _within_ranges(rows: Doubles, own: Weights, layout: BankLayout) -> Weights:
    """Keep every weight within its reach, which is widened only where the portrait's own weight lies outside."""
    lowest, highest = reach_of(layout)
    return np.clip(rows, np.minimum(lowest, own), np.maximum(highest, own)).astype(np.float32)


def _gaps(estimates: _Estimates) -> tuple[str, ...]:
    """Return notes about where no face was seen."""
    missing = np.flatnonzero(~estimates.seen)
    if not len(missing):
        return ()
    runs = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    at = [f"{estimates.span.second(run[0]):.1f}–{estimates.span.second(run[-1]):.1f}" for run in runs]
    places = ", ".join([*at[:_MAX_GAPS_NAMED], *(["…"] if len(at) > _MAX_GAPS_NAMED else [])])
    return (f"No face was seen in seconds {places} of the video; the movement is interpolated there.",)
