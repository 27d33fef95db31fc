"""Where the driver's face is in a video: one steady crop for the clip, so that the head's own movement stays in the
weights. Only where the face would leave that crop, the crop follows it, slowly.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from edtalk_server.media.faces.detection import Face, find_faces
from edtalk_server.media.faces.portrait import LandmarkDetector, crop_around, cut
from edtalk_server.media.steps import Step, Steps
from edtalk_server.media.video.reader import Clip, Picture
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

PROBE_SIDE = 960
"""Faces are looked for in pictures whose longer side has at most so many pixels."""

_FINENESS = 2
"""Pictures are decoded with so many pixels for each of a cut face's, where the video has them."""
_FIRST_LOOKS, _MOST_LOOKS = 9, 240
_LOOK_EVERY_S = 1.0
_SHIFT, _GROWTH = 0.18, 0.18
"""So far a face may be from the steady crop, in its sides and as the logarithm of its size."""
_SLOWNESS_S = 1.0
_STAGE = "looking for the face"


@dataclass(frozen=True)
class FaceTrack:
    """The crop at every moment: rows of centre x, centre y, log side and roll at rising `seconds`, in units of the
    picture's width. `notes` are for people."""

    seconds: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]
    notes: tuple[str, ...] = ()

    @property
    def smallest_side(self) -> float:
        """The crop's side where it is smallest, in widths of the picture."""
        return float(math.exp(self.rows[:, 2].min()))

    def crop(self, second: float, width: int) -> Crop:
        """The crop in pixels of pictures of that width."""
        x, y, size, roll = (float(np.interp(second, self.seconds, column)) for column in self.rows.T)
        return Crop(x * width, y * width, math.exp(size) * width, roll)


@dataclass(frozen=True)
class _Look:
    """One picture of the clip and the faces in it."""

    second: float
    picture: Picture
    faces: list[Face]


@dataclass
class _Person:
    """The same face in several looks."""

    seen: list[tuple[_Look, Face]]

    def is_like(self, face: Face) -> bool:
        last = self.seen[-1][1]
        near = math.dist(last.middle, face.middle) < 1.5 * last.box_side
        return near and abs(math.log(face.box_side / last.box_side)) < 0.5

    @property
    def weight(self) -> float:
        """How much there is of this person in the clip."""
        return sum(face.box_side for _, face in self.seen)


def find_track(
    clip: Clip, begin: float, end: float, landmark_detector: LandmarkDetector | None
) -> Steps[FaceTrack]:
    """The track of the person who fills most of the clip from second `begin` to `end`.

    Raises `EDTalkError`: NO_FACE, VIDEO_UNREADABLE.
    """
    first = np.linspace(begin, end, 2 * _FIRST_LOOKS + 1)[1::2]
    looks = yield from _look(clip, first)
    seconds, rows, notes = _crops(looks, landmark_detector)
    steady = np.median(rows, axis=0)
    if _fits(rows, steady):
        return FaceTrack(np.zeros(1), steady[None], notes)
    count = min(_MOST_LOOKS, max(2 * _FIRST_LOOKS, math.ceil((end - begin) / _LOOK_EVERY_S)))
    looks = yield from _look(clip, np.linspace(begin, end, count))
    seconds, rows, notes = _crops(looks, landmark_detector)
    moves = "The face moves through the picture; the crop follows it slowly, which is not part of the head's movement."
    return FaceTrack(seconds, _slowly(seconds, rows), (*notes, moves))


def cut_faces(
    clip: Clip,
    track: FaceTrack,
    size: int,
    fps: Fraction,
    begin: Fraction = Fraction(0),
    count: int | None = None,
) -> Generator[Picture, None, None]:
    """The face at the seconds `begin + i / fps`, uint8 [size, size, 3]: `count` pictures, or until the clip's end.

    Close the generator to stop early. Raises `EDTalkError(VIDEO_UNREADABLE)`.
    """
    side = math.ceil(_FINENESS * size / track.smallest_side)
    seconds = None if count is None else float(count / fps)
    with contextlib.closing(clip.pictures(float(begin), seconds, fps, side)) as decoded:
        for index, picture in enumerate(itertools.islice(decoded, count)):
            yield cut(picture, track.crop(float(begin + index / fps), picture.shape[1]), size)


def _look(clip: Clip, seconds: npt.NDArray[np.float64]) -> Steps[list[_Look]]:
    looks = []
    for done, second in enumerate(seconds):
        yield Step(done, len(seconds), _STAGE)
        picture = clip.picture_at(float(second), PROBE_SIDE)
        if picture is not None:
            looks.append(_Look(float(second), picture, find_faces(picture)))
    return looks


def _crops(
    looks: Sequence[_Look], landmark_detector: LandmarkDetector | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], tuple[str, ...]]:
    people: list[_Person] = []
    for look in looks:
        for face in look.faces:
            person = next((one for one in people if one.is_like(face)), None)
            if person is None:
                people.append(_Person([(look, face)]))
            else:
                person.seen.append((look, face))
    if not people:
        raise EDTalkError(
            ErrorCode.NO_FACE,
            "No face was found in the video.",
            "Use a video of one face from the front, well lit and not covered, and check the frame range.",
        )
    people.sort(key=lambda person: -person.weight)
    seen = people[0].seen
    rows = np.array(
        [_row(look.picture, crop_around(look.picture, face, landmark_detector)) for look, face in seen]
    )
    return np.array([look.second for look, _ in seen]), rows, _notes(people)


def _row(picture: Picture, crop: Crop) -> tuple[float, float, float, float]:
    width = picture.shape[1]
    return crop.center_x / width, crop.center_y / width, math.log(crop.side / width), crop.roll


def _notes(people: Sequence[_Person]) -> tuple[str, ...]:
    if len(people) > 1 and people[1].weight > 0.4 * people[0].weight:
        return ("Several people are in the video; the one who fills most of it is captured.",)
    return ()


def _fits(rows: npt.NDArray[np.float64], steady: npt.NDArray[np.float64]) -> bool:
    shift = np.hypot(*(rows - steady)[:, :2].T) / math.exp(steady[2])
    return bool(shift.max() < _SHIFT and np.abs(rows[:, 2] - steady[2]).max() < _GROWTH)


def _slowly(seconds: npt.NDArray[np.float64], rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rows, each replaced by a straight line through those around it in time, so that a walk is not held back."""
    slow = np.empty_like(rows)
    for index, second in enumerate(seconds):
        past = seconds - second
        trust = np.exp(-0.25 * (past / _SLOWNESS_S) ** 2)  # the root of a Gaussian: squared by the fit
        line = np.column_stack([np.ones_like(past), past]) * trust[:, None]
        slow[index] = np.linalg.lstsq(line, rows * trust[:, None], rcond=None)[0][0]
    return slow
