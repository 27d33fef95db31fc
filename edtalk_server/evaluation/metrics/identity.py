"""Who a face belongs to, by the user's own network: OpenCV's SFace (Zhong et al. 2021), run by OpenCV.

The file is `face_recognition_sface_2021dec.onnx` of OpenCV's model zoo. Nothing is downloaded, and an ONNX file holds
no code that runs.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.metrics.landmarks import Points
from shared_protocol.errors import EDTalkError, ErrorCode

_POINTS = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))
"""The landmarks whose means are its five: the eyes, the tip of the nose, the corners of the mouth, from the left."""


class IdentityNetwork:
    """A `judges.IdentityJudge`."""

    def __init__(self, network: cv2.FaceRecognizerSF) -> None:
        self._network = network

    @classmethod
    def from_file(cls, path: Path) -> IdentityNetwork:
        """Load the user's weights. Raises `EDTalkError(BUNDLE_INVALID)` when the file holds something else."""
        try:
            return cls(cv2.FaceRecognizerSF.create(str(path), ""))
        except cv2.error as error:
            raise EDTalkError(
                ErrorCode.BUNDLE_INVALID,
                f"The weights {path.name} cannot be used: {str(error).splitlines()[0]}",
                "See docs/evaluation.md for the expected file.",
            ) from error

    def embed(self, frames: Picture, landmarks: Points) -> npt.NDArray[np.float32]:
        """Return vectors of length one [N, D] of pictures [N, S, S, 3] with landmarks [N, 68, 2] in 0..1."""
        rows = [self._embed(frame, points) for frame, points in zip(frames, landmarks, strict=True)]
        return np.stack(rows)

    def _embed(self, frame: Picture, landmarks: Points) -> npt.NDArray[np.float32]:
        five = np.concatenate([landmarks[part].mean(0) for part in _POINTS]) * frame.shape[0]
        face = np.concatenate([[0, 0, frame.shape[1], frame.shape[0]], five]).astype(np.float32)
        aligned = self._network.alignCrop(np.ascontiguousarray(frame[..., ::-1]), face[None])
        vector = self._network.feature(aligned)[0]
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)
