"""Prepares a video as a clip of the cache: follows the face, crops it 25 times a second, and estimates its landmarks
with a bundle's motion encoder. A video that training would not profit from is left out, with the reason."""

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
from edtalk_server.arrays import Floats
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
"""Pictures at a time."""
_ENCODER_SIZE = 128
"""Motion encoders take pictures whose side is a multiple of this."""
_THUMBNAIL = 24
"""Side in pixels of the thumbnails that are compared."""
_CUT = 40.0
"""Mean change of a thumbnail, in grey levels of 255, above which two pictures are of different shots."""
_INSIDE = (-0.1, 1.1)
"""Range of the landmarks of a well-cropped face, in parts of the picture."""
_EYES_APART = (0.1, 0.5)
"""Range of the eyes' distance, in parts of the picture."""
_CLIP_ERRORS = (ErrorCode.NO_FACE, ErrorCode.VIDEO_UNREADABLE)
"""Errors for which a clip is left out; others end the preparation."""


@dataclass(frozen=True)
class Limits:
    """Conditions that a clip must meet. `side`: least side of the crop in the video, in parts of the cache's size;
    `share`: least share of pictures that show the face; `seconds`: the shortest stretch that is used; `stir`: least
    movement of landmarks (mean standard deviation in parts of the picture), below which the clip is a still."""

    side: float = 0.5
    share: float = 0.5
    seconds: float = 1.0
    stir: float = 1e-4


class _NotGoodEnoughError(Exception):
    """A clip to leave out; the message is a sentence for people."""


class LandmarkEstimator:
    """A bundle's engine, which finds the crop, and a motion encoder that estimates landmarks of cropped faces.

    For a bundle whose network estimates no landmarks (the official ones) it is the starter's.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.engine = Engine.open(bundle, device)
        self.digest = bundle.digest
        face: Any = bundle.face
        if not hasattr(face, "cropped_landmarks_of"):
            face = bundles.load(bundles.STARTER).face
        self._face = face

    @torch.inference_mode()
    def estimate(self, pictures: Sequence[Picture]) -> Floats:
        """Return landmarks [B, 68, 2] in 0..1 of well-cropped faces, uint8 [size, size, 3]."""
        if len(pictures[0]) % _ENCODER_SIZE:
            pictures = [
                np.asarray(cv2.resize(picture, (_ENCODER_SIZE, _ENCODER_SIZE)), np.uint8)
                for picture in pictures
            ]
        images = to_tensor(np.stack(pictures)).to(next(self._face.parameters()).device)
        return np.asarray(self._face.cropped_landmarks_of(images).float().cpu().numpy())


def prepare_all(
    footage: Sequence[Footage],
    cache: FilmCache,
    estimator: LandmarkEstimator,
    limits: Limits | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> None:
    """Prepare every clip that is not in the cache yet, or has changed. `FilmCache.begin` comes first."""
    for number, clip in enumerate(footage):
        stamp = stamp_of(clip.path)
        if cache.known_stamp(clip.name) != stamp:
            _prepare_or_skip(clip, cache, estimator, limits or Limits(), stamp)
        progress(number + 1)


def _prepare_or_skip(
    footage: Footage, cache: FilmCache, estimator: LandmarkEstimator, limits: Limits, stamp: str
) -> None:
    try:
        _prepare(footage, cache, estimator, limits, stamp)
        return
    except _NotGoodEnoughError as error:
        reason = str(error)
    except EDTalkError as error:
        if error.code not in _CLIP_ERRORS:
            raise
        reason = error.cause
    log.warning("%s is left out: %s", footage.name, reason)
    cache.skip(SkipRecord(footage.name, reason, stamp))


def _prepare(
    footage: Footage, cache: FilmCache, estimator: LandmarkEstimator, limits: Limits, stamp: str
) -> None:
    size = cache.size
    clip = Clip.open(footage.path)
    track = run_to_end(find_track(clip, 0.0, clip.duration, estimator.engine.landmark_detector()))
    _check_side(clip, track, size, limits)
    with ClipWriter(cache, footage.name) as writer:
        watch, marks = _Watch(), []
        with contextlib.closing(cut_faces(clip, track, size, Fraction(FRAME_RATE))) as faces:
            while batch := list(itertools.islice(faces, _BATCH)):
                writer.add(batch)
                watch.look(batch)
                marks.append(estimator.estimate(batch))
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
    """Watches the cropped pictures in their order: is the face there, and was there a cut?"""

    def __init__(self) -> None:
        self.seen: list[bool] = []
        self.shots: list[int] = []
        self._presence = FacePresence()
        self._last: npt.NDArray[np.int16] | None = None

    def look(self, pictures: Sequence[Picture]) -> None:
        """Watch the next pictures."""
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


def _checked_runs(landmarks: Floats, watch: _Watch, limits: Limits) -> tuple[Run, ...]:
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


def _well_placed(landmarks: Floats) -> npt.NDArray[np.bool_]:
    """Return which pictures [T] show a whole face of about the right size."""
    low, high = _INSIDE
    inside = ((landmarks > low) & (landmarks < high)).all(axis=(1, 2))
    eyes = landmarks[:, 36:42].mean(1) - landmarks[:, 42:48].mean(1)
    apart = np.hypot(*eyes.T)
    return np.asarray(inside & (apart > _EYES_APART[0]) & (apart < _EYES_APART[1]))


def _runs(good: npt.NDArray[np.bool_], shots: npt.NDArray[np.intp], least: int) -> list[Run]:
    """Return stretches of at least `least` good pictures of one shot."""
    label = np.where(good, shots, -1)
    borders = np.flatnonzero(np.diff(label)) + 1
    parts = np.split(np.arange(len(label)), borders)
    return [
        (int(part[0]), int(part[-1]) + 1, int(label[part[0]]))
        for part in parts
        if label[part[0]] >= 0 and len(part) >= least
    ]
