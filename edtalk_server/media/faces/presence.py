"""Is the face still there? For the pictures of a track, which all show the same area of a video.

A detector alone loses heads that turn far or are half covered. So a picture that resembles one with a face counts too;
a less similar one counts if a detector, frontal or in profile, sees a face.
"""

from __future__ import annotations

import cv2
import numpy as np

from edtalk_server.arrays import Doubles, Picture
from edtalk_server.media.faces.detection import sees_face

_SIDE = 24
"""Side in pixels of the patterns that are compared."""
_SAME, _SIMILAR = 0.92, 0.55
"""Correlations with the last picture that showed a face: certainly the same, and similar enough to count."""
_BLANK = 4.0
"""Standard deviation (of 255) below which a picture shows nothing."""
_DETECT_EVERY = 25
"""Pictures after which the detector runs again, however similar they are."""


class FacePresence:
    """Watches for the face in the pictures of one track, uint8 [S, S, 3], in their order."""

    def __init__(self) -> None:
        self._known: Doubles | None = None
        self._since = 0

    def sees(self, picture: Picture) -> bool:
        """Tell whether this picture shows the face."""
        pattern = _pattern(picture)
        if pattern is None:
            return False
        similarity = 0.0 if self._known is None else float((pattern * self._known).mean())
        self._since += 1
        if similarity > _SAME and self._since < _DETECT_EVERY:
            return True
        if sees_face(picture):
            self._known, self._since = pattern, 0
            return True
        return similarity > _SIMILAR


def _pattern(picture: Picture) -> Doubles | None:
    """Return a coarse grey copy with mean 0 and deviation 1; None when the picture shows nothing."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    coarse = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    deviation = float(coarse.std())
    return None if deviation < _BLANK else (coarse - coarse.mean()) / deviation
