"""Real clips as test subjects: every video of a folder, cropped by one steady crop of its face."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from edtalk_server.evaluation.metrics.image_distance import Mask, Picture
from edtalk_server.evaluation.people.holdout import Clip, Footage, Person
from edtalk_server.media.faces.portrait import LandmarkDetector
from edtalk_server.media.steps import run_to_end
from edtalk_server.media.video import reader as videos
from edtalk_server.motion.track import cut_faces, find_track
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

FPS = Fraction(25)
_QUIET = 3.0
"""Grey levels: a pixel is still whose second difference in time is on average below this, ..."""
_STEADY = 12
"""... and that never differs from its first value by more than this many grey levels."""


def filmed_people(
    folder: Path,
    size: int,
    frames: int,
    landmark_detector: LandmarkDetector | None,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> list[Person]:
    """Read the videos in `folder` and its folders, sorted by name: the first `frames` pictures of each, 25 a second.

    An unusable video is left out with a warning. Raises `EDTalkError`: NOT_READY (no video there); NO_FACE or
    VIDEO_UNREADABLE where none is usable.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in videos.SUFFIXES)
    if not paths:
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"There is no video in {folder}.",
            f"Put clips of one face each there ({', '.join(sorted(videos.SUFFIXES))}).",
        )
    people: list[Person] = []
    refused: EDTalkError | None = None
    for number, path in enumerate(paths):
        try:
            people.append(film_person(path, size, frames, landmark_detector))
        except EDTalkError as error:
            refused = error
            log.warning("%s is left out: %s", path.name, error)
        on_progress(number + 1)
    if refused is not None and not people:
        raise refused
    return people


def film_person(path: Path, size: int, frames: int, landmark_detector: LandmarkDetector | None) -> Person:
    """Read one video. Flicker needs at least three pictures."""
    clip = videos.Clip.open(path)
    seconds = min(clip.duration, frames / float(FPS))
    track = run_to_end(find_track(clip, 0.0, seconds, landmark_detector))
    cuts = list(cut_faces(clip, track, size, FPS, count=frames))
    if len(cuts) < 3:
        raise EDTalkError(
            ErrorCode.VIDEO_UNREADABLE,
            f"The video “{path.name}” has fewer than three pictures.",
            "Leave it out.",
        )
    pictures = np.stack(cuts)
    return Person(Clip(pictures), motion=Footage(pictures, find_still_pixels(pictures)))


def find_still_pixels(frames: Picture) -> Mask:
    """Return the pixels [S, S] of a clip [T, S, S, 3] in which only the camera's noise changes."""
    values = frames.astype(np.int16)
    trembling = np.abs(values[2:] - 2 * values[1:-1] + values[:-2]).mean((0, 3))
    away = np.abs(values - values[0]).max((0, 3))
    return np.asarray((trembling < _QUIET) & (away <= _STEADY))
