"""From a video to a clip of the cache: the face is followed, cut out 25 times a second, and its landmarks are read by a
bundle's own reader. A video that training would not profit from is left out, with the reason."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from edtalk_server import bundles
from edtalk_server.bundles import Bundle
from edtalk_server.engine import Engine
from edtalk_server.engine.tensors import to_tensor
from edtalk_server.media.audio.soundtrack import extract_sound
from edtalk_server.media.faces.portrait import Picture
from edtalk_server.media.faces.presence import FacePresence
from edtalk_server.media.steps import run_to_end
from edtalk_server.media.video.reader import Clip
from edtalk_server.motion.track import FaceTrack, cut_faces, find_track
from edtalk_server.training.datasets.film.cache import (
    ClipRecord,
    ClipWriter,
    FilmCache,
    Run,
    SkipRecord,
    stamp_of,
)
from edtalk_server.training.datasets.film.layout import Footage
from edtalk_server.training.datasets.interface import FRAME_RATE
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

_BATCH = 16
_READABLE = 128
"""Readers take pictures of a multiple of so many pixels."""
_THUMBNAIL = 24
_CUT = 40.0
"""Mean change of a thumbnail, in grey levels, from one picture to the next, that only a cut makes."""
_INSIDE = (-0.1, 1.1)
"""Where landmarks of a well-cropped face are, in parts of the picture."""
_EYES_APART = (0.1, 0.5)
_LEFT_OUT = (ErrorCode.NO_FACE, ErrorCode.VIDEO_UNREADABLE)
"""What is a clip's own fault, and no reason to end."""

Marks = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Limits:
    """What a clip must be, or it is left out. `side`: the crop's pixels in the video, in parts of the cache's size;
    `share`: of its pictures that show the face; `seconds`: the shortest stretch that is used; `stir`: how far a
    landmark moves on average (standard deviation in parts of the picture), below which it is a still."""

    side: float = 0.5
    share: float = 0.5
    seconds: float = 1.0
    stir: float = 1e-4


class _NotGoodEnoughError(Exception):
    """A clip to leave out; the message is a sentence for people."""


class LandmarkEstimator:
    """What preparing needs of a bundle: the detector that finds the crop, and the reader of cropped faces.

    A bundle without a reader of its own (the official ones) is helped by the starter's.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.engine = Engine.open(bundle, device)
        self.digest = bundle.digest
        face: Any = bundle.face
        if not hasattr(face, "cropped_landmarks_of"):
            face = bundles.load(bundles.STARTER).face
        self._face = face

    @torch.inference_mode()
    def read(self, pictures: Sequence[Picture]) -> Marks:
        """Landmarks [B, 68, 2] in 0..1 of well-cropped faces, uint8 [size, size, 3]."""
        if len(pictures[0]) % _READABLE:
            pictures = [np.asarray(cv2.resize(one, (_READABLE, _READABLE)), np.uint8) for one in pictures]
        images = to_tensor(np.stack(pictures)).to(next(self._face.parameters()).device)
        return np.asarray(self._face.cropped_landmarks_of(images).float().cpu().numpy())


def prepare_all(
    footage: Sequence[Footage],
    cache: FilmCache,
    reader: LandmarkEstimator,
    limits: Limits | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> None:
    """Put every clip into the cache (`FilmCache.begin` was called) that is not there yet, or has changed."""
    for number, one in enumerate(footage):
        stamp = stamp_of(one.path)
        if cache.known_stamp(one.name) != stamp:
            _prepare_or_skip(one, cache, reader, limits or Limits(), stamp)
        progress(number + 1)


def _prepare_or_skip(
    footage: Footage, cache: FilmCache, reader: LandmarkEstimator, limits: Limits, stamp: str
) -> None:
    try:
        _prepare(footage, cache, reader, limits, stamp)
        return
    except _NotGoodEnoughError as error:
        reason = str(error)
    except EDTalkError as error:
        if error.code not in _LEFT_OUT:
            raise
        reason = error.cause
    log.warning("%s is left out: %s", footage.name, reason)
    cache.skip(SkipRecord(footage.name, reason, stamp))


def _prepare(
    footage: Footage, cache: FilmCache, reader: LandmarkEstimator, limits: Limits, stamp: str
) -> None:
    size = cache.size
    clip = Clip.open(footage.path)
    track = run_to_end(find_track(clip, 0.0, clip.duration, reader.engine.landmark_detector()))
    _check_side(clip, track, size, limits)
    with ClipWriter(cache, footage.name) as writer:
        watch, marks = _Watch(), []
        with contextlib.closing(cut_faces(clip, track, size, Fraction(FRAME_RATE))) as faces:
            while batch := list(itertools.islice(faces, _BATCH)):
                writer.add(batch)
                watch.look(batch)
                marks.append(reader.read(batch))
        landmarks = np.concatenate(marks) if marks else np.zeros((0, 68, 2), np.float32)
        runs = _checked_runs(landmarks, watch, limits)
        sound = writer.folder / "voice.flac"
        has_sound = extract_sound(footage.sound or footage.path, sound, len(landmarks) / FRAME_RATE)
        record = ClipRecord(
            name=footage.name,
            person=footage.person,
            emotion=footage.emotion,
            level=footage.level,
            frames=len(landmarks),
            runs=runs,
            has_sound=has_sound,
            notes=track.notes,
            stamp=stamp,
        )
        writer.finish(record, landmarks)


# --- is it good enough? ---


class _Watch:
    """Looks at all cut pictures in their order: is the face there, and was there a cut?"""

    def __init__(self) -> None:
        self.seen: list[bool] = []
        self.shots: list[int] = []
        self._presence = FacePresence()
        self._last: npt.NDArray[np.int16] | None = None

    def look(self, pictures: Sequence[Picture]) -> None:
        """The next ones."""
        for picture in pictures:
            self.seen.append(self._presence.sees(picture))
            small = cv2.resize(picture, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
            thumbnail = small.astype(np.int16)
            is_cut = self._last is not None and float(np.abs(thumbnail - self._last).mean()) > _CUT
            self._last = thumbnail
            self.shots.append((self.shots[-1] if self.shots else 0) + is_cut)


def _check_side(clip: Clip, track: FaceTrack, size: int, limits: Limits) -> None:
    picture = clip.picture_at(0.0)
    side = 0.0 if picture is None else track.smallest_side * picture.shape[1]
    if side < limits.side * size:
        least = round(limits.side * size)
        raise _NotGoodEnoughError(f"The face is too small: its crop has {side:.0f} pixels, not {least}.")


def _checked_runs(landmarks: Marks, watch: _Watch, limits: Limits) -> tuple[Run, ...]:
    good = np.array(watch.seen, bool) & _well_placed(landmarks)
    if not len(good) or good.mean() < limits.share:
        share = 100 * good.mean() if len(good) else 0.0
        raise _NotGoodEnoughError(f"Only {share:.0f} % of its pictures show the whole face.")
    runs = _runs(good, np.array(watch.shots), max(2, round(limits.seconds * FRAME_RATE)))
    if not runs:
        raise _NotGoodEnoughError(
            f"The face is never seen for {limits.seconds:g} seconds without a cut or gap."
        )
    numbers = np.concatenate([np.arange(first, stop) for first, stop, _ in runs])
    if float(landmarks[numbers].std(axis=0).mean()) < limits.stir:
        raise _NotGoodEnoughError("Nothing moves in it: it is a still picture.")
    return tuple(runs)


def _well_placed(landmarks: Marks) -> npt.NDArray[np.bool_]:
    """Which pictures [T] show all of a face, of about the right size."""
    low, high = _INSIDE
    inside = ((landmarks > low) & (landmarks < high)).all(axis=(1, 2))
    eyes = landmarks[:, 36:42].mean(1) - landmarks[:, 42:48].mean(1)
    apart = np.hypot(*eyes.T)
    return np.asarray(inside & (apart > _EYES_APART[0]) & (apart < _EYES_APART[1]))


def _runs(good: npt.NDArray[np.bool_], shots: npt.NDArray[np.intp], least: int) -> list[Run]:
    """Stretches of good pictures of one shot, of at least `least`."""
    label = np.where(good, shots, -1)
    borders = np.flatnonzero(np.diff(label)) + 1
    parts = np.split(np.arange(len(label)), borders)
    return [
        (int(part[0]), int(part[-1]) + 1, int(label[part[0]]))
        for part in parts
        if label[part[0]] >= 0 and len(part) >= least
    ]
