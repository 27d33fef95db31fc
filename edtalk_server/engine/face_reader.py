"""Reading faces with a bundle's networks: landmarks, weights, turns of the head, and how good a portrait is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edtalk_server.arrays import Picture, Weights
from edtalk_server.bundles import Bundle
from edtalk_server.engine.device_manager import EncodedFace
from edtalk_server.engine.following.artist import Compute, SketchArtist
from edtalk_server.engine.following.follower import Follower, sight
from edtalk_server.engine.source import check_portrait
from edtalk_server.media.faces import portrait as portraits
from edtalk_server.media.faces.detection import LOOKING, Face, finding_faces
from edtalk_server.media.faces.portrait_quality import (
    QualityReport,
    TurnEstimator,
    assess_crop,
    assess_portrait,
    turn_of_landmarks,
)
from edtalk_server.media.steps import Steps, run_to_end
from edtalk_server.networks.compact_blocks import shrink
from shared_protocol.messages import Crop

_YAW, _DEGREES_PER_YAW = "yaw", 20.0
"""The weight that turns the head, and the degrees of one unit of it (docs/bundles.md)."""


class FaceReader:
    """Reads pictures of faces. `face` is the bundle's network as it is used, `compute` runs it."""

    def __init__(self, bundle: Bundle, face: Any, compute: Compute) -> None:
        self._bundle, self._face, self._compute = bundle, face, compute
        self._size = bundle.manifest.size

    def assess(
        self, portrait: Picture, crop: Crop | None = None, faces: Sequence[Face] | None = None
    ) -> QualityReport:
        """Return the quality of a portrait, or of a crop of it, without encoding it.

        `faces`: the result of `find_faces`, if known. Raises `EDTalkError(IMAGE_UNREADABLE)`.
        """
        return run_to_end(self.assessing(portrait, crop, faces))

    def assessing(
        self, portrait: Picture, crop: Crop | None = None, faces: Sequence[Face] | None = None
    ) -> Steps[QualityReport]:
        """Assess a portrait as `assess` does, in steps."""
        check_portrait(portrait)
        portrait = portraits.over_grey(portrait)
        if crop is not None and crop.side != 0.0:
            return assess_crop(portrait, crop, self.landmark_detector(), self._turn_estimator())
        if faces is None:
            faces = yield from finding_faces(portrait)
        yield LOOKING
        return assess_portrait(portrait, faces, self.landmark_detector(), self._turn_estimator())

    def landmarks(self, portrait: Picture, encoded: EncodedFace, crop: Crop) -> tuple[float, ...]:
        """Return 68 points of the face, x and y in turn, in fractions of the crop; none where the bundle finds none.

        A network that reads them off cropped faces is more exact than a detector, which has to see rough crops.
        """
        detect, detector = getattr(self._face, "cropped_landmarks_of", None), self.landmark_detector()
        if detect is not None:
            points = self._compute(lambda manager: detect(manager.tensor(encoded.picture[None])))
        elif detector is not None:
            face = portraits.over_grey(portrait)
            points = detector(portraits.cut(face, crop, portraits.LANDMARK_CROP_SIZE))
        else:
            return ()
        return tuple(round(float(value), 4) for value in np.ravel(points))

    def estimate(self, pictures: Picture) -> Weights:
        """Estimate the weights [B, channels] of cropped faces, RGB uint8 [B, size, size, 3] (paper section 3.1)."""
        return self._compute(lambda manager: manager.face.weights_of(manager.tensor(pictures)))

    def follower(self, picture: Picture) -> Follower | None:
        """Return a follower that corrects estimates of pictures of the person in `picture`, a cropped face uint8
        [size, size, 3]; None where the network cannot draw sketches to compare."""
        face = self._face
        if not hasattr(face, "sketch"):
            return None

        def look(pictures: Picture) -> Weights:
            return self._compute(
                lambda manager: sight(face, shrink(manager.tensor(pictures), face.config.detail_size))
            )

        artist = SketchArtist(face, picture, self._compute)
        return Follower(look, artist, self.estimate(picture[None])[0], self._bundle.layout)

    def landmark_detector(self) -> portraits.LandmarkDetector | None:
        """Return the bundle's own landmark detector; None if it has none."""
        detect = getattr(self._bundle.landmarks or self._bundle.face, "landmarks_of", None)
        if detect is None:
            return None

        def landmarks(picture: Picture) -> Weights:
            return self._compute(lambda manager: detect(manager.tensor(picture[None])))[0]

        return landmarks

    def _turn_estimator(self) -> TurnEstimator | None:
        """Return the estimator of how far a head is turned; None if the bundle has no weight for it."""
        if not any(basis.identifier == _YAW for basis in self._bundle.layout.bases):
            return None
        channel, detector = self._bundle.layout.index(_YAW), self.landmark_detector()

        def turn(picture: Picture, crop: Crop) -> float:
            face = portraits.cut(picture, crop, self._size)
            by_weight = float(self.estimate(face[None])[0, channel]) * _DEGREES_PER_YAW
            if detector is None:
                return by_weight
            by_nose = turn_of_landmarks(detector(portraits.cut(picture, crop, portraits.LANDMARK_CROP_SIZE)))
            return max(by_weight, by_nose, key=abs)  # in photos, weights are read too small

        return turn
