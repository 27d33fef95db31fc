"""Real clips as people to be judged on: every video of a folder, cropped by the one steady crop of its face."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from edtalk_server.evaluation.metrics.image_distance import Mask, Picture
from edtalk_server.evaluation.people.holdout import Clip, Motion, Person
from edtalk_server.media.faces.portrait import LandmarkDetector
from edtalk_server.media.steps import run_to_end
from edtalk_server.media.video import reader as videos
from edtalk_server.motion.track import cut_faces, find_track
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

FPS = Fraction(25)
_QUIET = 3.0
"""A pixel stands still whose second difference in time is on average below so many grey levels."""
_STEADY = 12
"""... and that never differs from its first value by more than this."""


def filmed_people(
    folder: Path,
    size: int,
    frames: int,
    landmark_detector: LandmarkDetector | None,
    progress: Callable[[int], None] = lambda _done: None,
) -> list[Person]:
    """The videos in `folder` (and its folders), sorted by name: the first `frames` pictures of each, 25 a second.

    One that cannot be used is left out, with a warning. Raises `EDTalkError`: NOT_READY (no video there); NO_FACE or
    VIDEO_UNREADABLE where none can be used.
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
            people.append(filmed(path, size, frames, landmark_detector))
        except EDTalkError as error:
            refused = error
            log.warning("%s is left out: %s", path.name, error)
        progress(number + 1)
    if refused is not None and not people:
        raise refused
    return people


def filmed(path: Path, size: int, frames: int, landmark_detector: LandmarkDetector | None) -> Person:
    """One video. It needs at least three pictures for anything to move, and to flicker."""
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
    return Person(Clip(pictures), motion=Motion(pictures, standing_still(pictures)))


def standing_still(frames: Picture) -> Mask:
    """The pixels [S, S] of a clip [T, S, S, 3] in which nothing happens but a camera's noise."""
    values = frames.astype(np.int16)
    trembling = np.abs(values[2:] - 2 * values[1:-1] + values[:-2]).mean((0, 3))
    away = np.abs(values - values[0]).max((0, 3))
    return np.asarray((trembling < _QUIET) & (away <= _STEADY))
