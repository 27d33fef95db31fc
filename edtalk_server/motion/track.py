"""Where the driver's face is in a video: one steady crop for the clip, so that the head's movement stays in the
weights. Only if the face would leave that crop, the crop follows it, slowly.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from edtalk_server.arrays import Doubles, Picture
from edtalk_server.media.faces.detection import Face, find_faces
from edtalk_server.media.faces.portrait import LandmarkDetector, crop_around, cut
from edtalk_server.media.steps import Step, Steps
from edtalk_server.media.video.reader import Clip
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

PROBE_SIDE = 960
"""Longer side in pixels of the pictures in which faces are detected."""

_OVERSAMPLING = 2
"""Decoded pixels per pixel of a cut face, if the video has them."""
_FIRST_PROBES, _MAX_PROBES = 9, 240
"""Pictures in which the face is detected: at first, and at most when it moves."""
_PROBE_EVERY_S = 1.0
"""Seconds between two probes of a face that moves."""
_MAX_SHIFT, _MAX_GROWTH = 0.3, 0.18
"""How far a face may be from the steady crop: in sides of the crop, and as the logarithm of its size."""
_FOLLOWING_S = 1.0
"""Standard deviation in seconds of the smoothing with which the crop follows a face."""
_STAGE = "looking for the face"


@dataclass(frozen=True)
class FaceTrack:
    """The crop at every moment: rows of centre x, centre y, log side and roll at rising `seconds`, in picture widths.

    `notes` are for people.
    """

    seconds: Doubles
    rows: Doubles
    notes: tuple[str, ...] = ()

    @classmethod
    def steady(cls, picture: Picture, crop: Crop) -> FaceTrack:
        """Return the track that stays at one crop of a picture."""
        return cls(np.zeros(1), np.array([_row(picture, crop)]))

    @property
    def is_steady(self) -> bool:
        """Does the crop stay where it is?"""
        return len(self.rows) == 1

    @property
    def smallest_side(self) -> float:
        """The crop's smallest side in picture widths."""
        return float(math.exp(self.rows[:, 2].min()))

    def crop(self, second: float, width: int) -> Crop:
        """Return the crop at a second, in pixels of pictures of that width."""
        x, y, size, roll = (float(np.interp(second, self.seconds, column)) for column in self.rows.T)
        return Crop(x * width, y * width, math.exp(size) * width, roll)


@dataclass(frozen=True)
class _Probe:
    """One picture of the clip and the faces in it."""

    second: float
    picture: Picture
    faces: list[Face]


@dataclass
class _Person:
    """The same face in several probes."""

    seen: list[tuple[_Probe, Face]]

    def is_like(self, face: Face) -> bool:
        last = self.seen[-1][1]
        near = math.dist(last.middle, face.middle) < 1.5 * last.box_side
        return near and abs(math.log(face.box_side / last.box_side)) < 0.5

    @property
    def weight(self) -> float:
        """How much of the clip this person fills."""
        return sum(face.box_side for _, face in self.seen)


def find_track(
    clip: Clip, begin: float, end: float, landmark_detector: LandmarkDetector | None
) -> Steps[FaceTrack]:
    """Return the track of the person who fills most of the clip from second `begin` to `end`.

    Raises `EDTalkError`: NO_FACE, VIDEO_UNREADABLE.
    """
    first = np.linspace(begin, end, 2 * _FIRST_PROBES + 1)[1::2]
    probes = yield from _probe(clip, first)
    seconds, rows, notes = _crops(probes, landmark_detector)
    steady = np.median(rows, axis=0)
    if _fits(rows, steady):
        return FaceTrack(np.zeros(1), steady[None], notes)
    count = min(_MAX_PROBES, max(2 * _FIRST_PROBES, math.ceil((end - begin) / _PROBE_EVERY_S)))
    probes = yield from _probe(clip, np.linspace(begin, end, count))
    seconds, rows, notes = _crops(probes, landmark_detector)
    moves = (
        "The face moves across the picture; the crop follows it slowly, and that movement is not captured."
    )
    return FaceTrack(seconds, _follow(seconds, rows), (*notes, moves))


def cut_faces(
    clip: Clip,
    track: FaceTrack,
    size: int,
    fps: Fraction,
    begin: Fraction = Fraction(0),
    count: int | None = None,
) -> Generator[Picture, None, None]:
    """Yield the face at the seconds `begin + i / fps`, uint8 [size, size, 3]: `count` pictures, or to the clip's end.

    Close the generator to stop early. Raises `EDTalkError(VIDEO_UNREADABLE)`.
    """
    side = math.ceil(_OVERSAMPLING * size / track.smallest_side)
    seconds = None if count is None else float(count / fps)
    with contextlib.closing(clip.pictures(float(begin), seconds, fps, side)) as decoded:
        for index, picture in enumerate(itertools.islice(decoded, count)):
            yield cut(picture, track.crop(float(begin + index / fps), picture.shape[1]), size)


def _probe(clip: Clip, seconds: Doubles) -> Steps[list[_Probe]]:
    probes = []
    for done, second in enumerate(seconds):
        yield Step(done, len(seconds), _STAGE)
        picture = clip.picture_at(float(second), PROBE_SIDE)
        if picture is not None:
            probes.append(_Probe(float(second), picture, find_faces(picture)))
    return probes


def _crops(
    probes: Sequence[_Probe], landmark_detector: LandmarkDetector | None
) -> tuple[Doubles, Doubles, tuple[str, ...]]:
    people: list[_Person] = []
    for probe in probes:
        for face in probe.faces:
            person = next((known for known in people if known.is_like(face)), None)
            if person is None:
                people.append(_Person([(probe, face)]))
            else:
                person.seen.append((probe, face))
    if not people:
        raise EDTalkError(
            ErrorCode.NO_FACE,
            "No face was found in the video.",
            "Use a video of one face from the front, well lit and not covered, and check the frame range.",
        )
    people.sort(key=lambda person: -person.weight)
    sightings = people[0].seen
    rows = np.array(
        [
            _row(probe.picture, crop_around(probe.picture, face, landmark_detector))
            for probe, face in sightings
        ]
    )
    return np.array([probe.second for probe, _ in sightings]), rows, _notes(people)


def _row(picture: Picture, crop: Crop) -> tuple[float, float, float, float]:
    width = picture.shape[1]
    return crop.center_x / width, crop.center_y / width, math.log(crop.side / width), crop.roll


def _notes(people: Sequence[_Person]) -> tuple[str, ...]:
    if len(people) > 1 and people[1].weight > 0.4 * people[0].weight:
        return ("Several people are in the video; the one who fills most of it is captured.",)
    return ()


def _fits(rows: Doubles, steady: Doubles) -> bool:
    shift = np.hypot(*(rows - steady)[:, :2].T) / math.exp(steady[2])
    return bool(shift.max() < _MAX_SHIFT and np.abs(rows[:, 2] - steady[2]).max() < _MAX_GROWTH)


def _follow(seconds: Doubles, rows: Doubles) -> Doubles:
    """Replace each row by a straight line through its neighbours in time, so that the crop keeps up with a walk."""
    followed = np.empty_like(rows)
    for index, second in enumerate(seconds):
        past = seconds - second
        weight = np.exp(-0.25 * (past / _FOLLOWING_S) ** 2)  # the root of a Gaussian: squared by the fit
        line = np.column_stack([np.ones_like(past), past]) * weight[:, None]
        followed[index] = np.linalg.lstsq(line, rows * weight[:, None], rcond=None)[0][0]
    return followed
