"""Real clips as test subjects: every video of a folder, cropped by one steady crop of its face."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from edtalk_server.evaluation.metrics.image_distance import Mask, Picture
from edtalk_server.evaluation.people.holdout import FINE_STEP, Clip, Footage, Person
from edtalk_server.evaluation.people.splits import Split, choose
from edtalk_server.media.audio.soundtrack import extract_sound
from edtalk_server.media.audio.voice import Waveform, load_voice
from edtalk_server.media.faces.portrait import LandmarkDetector
from edtalk_server.media.steps import run_to_end
from edtalk_server.media.video import reader as videos
from edtalk_server.motion.track import cut_faces, find_track
from edtalk_server.training.datasets.film import layout as layouts
from edtalk_server.training.datasets.film.layout import Layout, find_footage
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

FPS = Fraction(25)
_SILENT = 1e-3
"""Samples that are all smaller are no voice, as in a video with an empty sound track."""
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
    layout: Layout = Layout.AUTO,
    split: Split = Split.ALL,
    fine: int = 0,
) -> list[Person]:
    """Read the videos in `folder` and its folders, sorted by name: the first `frames` pictures of each, 25 a second,
    and their sound. `layout` and `split` say how the folder is laid out, and which of its clips are read. `fine`: a
    multiple of `size` in which some pictures are kept as well.

    An unusable video is left out with a warning. Raises `EDTalkError`: NOT_READY (no video there); NO_FACE or
    VIDEO_UNREADABLE where none is usable.
    """
    people: list[Person] = []
    refused: EDTalkError | None = None
    for number, footage in enumerate(choose(find_footage(folder, layout), split)):
        try:
            person = film_person(footage.path, size, frames, landmark_detector, fine)
            voice = voice_of(footage, len(person.clip.frames))
            people.append(replace(person, voice=voice, emotion=footage.emotion))
        except EDTalkError as error:
            refused = error
            log.warning("%s is left out: %s", footage.path.name, error)
        on_progress(number + 1)
    if refused is not None and not people:
        raise refused
    return people


def film_person(
    path: Path, size: int, frames: int, landmark_detector: LandmarkDetector | None, fine: int = 0
) -> Person:
    """Read one video. Flicker needs at least three pictures."""
    clip = videos.Clip.open(path)
    seconds = min(clip.duration, frames / float(FPS))
    track = run_to_end(find_track(clip, 0.0, seconds, landmark_detector))
    cuts, kept = list[Picture](), list[Picture]()
    for cut in cut_faces(clip, track, fine or size, FPS, count=frames):
        if fine and len(cuts) % FINE_STEP == 0:
            kept.append(cut)
        cuts.append(np.asarray(cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA), np.uint8))
    if len(cuts) < 3:
        raise EDTalkError(
            ErrorCode.VIDEO_UNREADABLE,
            f"The video “{path.name}” has fewer than three pictures.",
            "Leave it out.",
        )
    pictures = np.stack(cuts)
    clip_of_face = Clip(pictures, fine=np.stack(kept) if kept else None)
    return Person(clip_of_face, motion=Footage(pictures, find_still_pixels(pictures)))


def voice_of(footage: layouts.Footage, frames: int) -> Waveform | None:
    """Return the sound of the first `frames` pictures; None where there is none, or only silence."""
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "voice.flac"
        if not extract_sound(footage.sound or footage.path, sound, frames / float(FPS)):
            return None
        voice = load_voice(sound)
    return voice if np.abs(voice.samples).max() > _SILENT else None


def find_still_pixels(frames: Picture) -> Mask:
    """Return the pixels [S, S] of a clip [T, S, S, 3] in which only the camera's noise changes."""
    values = frames.astype(np.int16)
    trembling = np.abs(values[2:] - 2 * values[1:-1] + values[:-2]).mean((0, 3))
    away = np.abs(values - values[0]).max((0, 3))
    return np.asarray((trembling < _QUIET) & (away <= _STEADY))
