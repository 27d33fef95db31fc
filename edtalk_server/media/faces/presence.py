"""Is the face still there? For the pictures of a track, which all show the same place of a video.

A detector alone loses heads that turn far or are half covered. So a picture that looks like one in which a face was
seen counts as well, and less alike ones count where a detector, frontal or in profile, sees a face.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.media.faces.detection import sees_face

_SIDE = 24
_SAME, _ALIKE = 0.92, 0.55
"""Correlation with the last picture that showed a face: surely the same; alike enough to believe it."""
_BLANK = 4.0
"""Standard deviation (of 255) below which a picture shows nothing."""
_LOOK_EVERY = 25


class FacePresence:
    """Judges the pictures of one track in their order, uint8 [S, S, 3]."""

    def __init__(self) -> None:
        self._known: npt.NDArray[np.float64] | None = None
        self._since = 0

    def sees(self, picture: npt.NDArray[np.uint8]) -> bool:
        """Does this picture show the face?"""
        pattern = _pattern(picture)
        if pattern is None:
            return False
        likeness = 0.0 if self._known is None else float((pattern * self._known).mean())
        self._since += 1
        if likeness > _SAME and self._since < _LOOK_EVERY:
            return True
        if sees_face(picture):
            self._known, self._since = pattern, 0
            return True
        return likeness > _ALIKE


def _pattern(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64] | None:
    """A coarse grey copy with mean 0 and deviation 1; None when there is nothing in the picture."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    coarse = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    deviation = float(coarse.std())
    return None if deviation < _BLANK else (coarse - coarse.mean()) / deviation
