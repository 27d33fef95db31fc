"""Detect faces with the cascades that ship inside OpenCV 4: no download, no licence to accept.

A single cascade mistakes buttons and badges for faces. So three frontal cascades vote, and a box with few votes must
show a pair of eyes. The eyes also give the roll and the exact position of the face.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Picture
from edtalk_server.media.steps import Step, Steps, run_to_end

Gray = npt.NDArray[np.uint8]
Point = tuple[float, float]

WORKING_SIDE = 640
"""Longer side in pixels of the copy in which faces are detected."""

LOOKING = Step(0, 0, "looking for the face")

_FRONTAL = ("frontalface_alt", "frontalface_alt2", "frontalface_default")
_PROFILE = "profileface"
_EYES = ("eye_tree_eyeglasses", "eye")
_CASCADE_LOCK = threading.Lock()
"""A cascade has scratch memory, so two threads must not use it at once."""
_TILTS = (0.0, 25.0, -25.0)
"""Degrees by which the picture is rotated until a face is found."""
_PADDING = 0.15
"""Border around the picture, in longer sides."""
_FACE_PATCH = 200
"""Side in pixels of the face in which eyes are detected."""
_USUAL_EYES = ((0.30, 0.39), (0.70, 0.39))
"""Where the eyes are in a frontal box, in fractions of it (mean over portraits)."""


@dataclass(frozen=True)
class Face:
    """A face in picture pixels: the eye centres, the left one in the picture first, and the side of the detector's box.

    `votes`: the number of cascades that agree. `eyes_seen`: the eyes were detected, not assumed from the box.
    """

    left_eye: Point
    right_eye: Point
    box_side: float
    votes: int
    eyes_seen: bool

    @property
    def middle(self) -> Point:
        """The point between the eyes."""
        return (self.left_eye[0] + self.right_eye[0]) / 2, (self.left_eye[1] + self.right_eye[1]) / 2

    @property
    def roll(self) -> float:
        """Angle of the line through the eyes in radians, positive clockwise as seen."""
        return math.atan2(self.right_eye[1] - self.left_eye[1], self.right_eye[0] - self.left_eye[0])

    @property
    def eye_distance(self) -> float:
        """Distance of the eye centres in pixels."""
        return math.dist(self.left_eye, self.right_eye)

    def mapped(self, matrix: Doubles) -> Face:
        """Return the same face with its pixels mapped by the affine map [2 or 3, 3]."""

        def moved(point: Point) -> Point:
            x, y = matrix[:2] @ (point[0], point[1], 1.0)
            return float(x), float(y)

        scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
        return replace(
            self,
            left_eye=moved(self.left_eye),
            right_eye=moved(self.right_eye),
            box_side=self.box_side * scale,
        )


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    side: float

    def overlap(self, other: _Box) -> float:
        """Intersection over union."""
        width = min(self.x + self.side, other.x + other.side) - max(self.x, other.x)
        height = min(self.y + self.side, other.y + other.side) - max(self.y, other.y)
        shared = max(width, 0.0) * max(height, 0.0)
        return shared / (self.side**2 + other.side**2 - shared)


def find_faces(image: Picture, smallest: float = 0.06) -> list[Face]:
    """Return the faces in an RGB picture uint8 [H, W, 3], largest first; empty if there is none.

    `smallest`: the smallest box, as a fraction of the picture's longer side; larger is faster. Upright faces are tried
    first, then faces tilted by 25 degrees to either side.
    """
    return run_to_end(finding_faces(image, smallest))


def finding_faces(image: Picture, smallest: float = 0.06) -> Steps[list[Face]]:
    """Find faces as `find_faces` does, in steps of about a tenth of a second."""
    gray, to_picture = _working_copy(image)
    for tilt in _TILTS:
        turned, turn_back = _rotate(gray, tilt)
        upright = yield from _faces_upright(turned, smallest)
        if upright:
            faces = [face.mapped(to_picture @ turn_back) for face in upright]
            return sorted(faces, key=lambda face: -face.box_side)
    return []


def find_profiles(image: Picture) -> list[Face]:
    """Return the faces that look to the side, largest first: for pictures in which `find_faces` finds none.

    Their eyes are not detected but assumed where a frontal face in the same box has them.
    """
    gray, to_picture = _working_copy(image)
    even = np.asarray(cv2.equalizeHist(gray), np.uint8)
    mirror = np.array([[-1.0, 0.0, gray.shape[1]], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    faces = [_assumed(box).mapped(to_picture) for box in _detect(_PROFILE, even, 0.1)]
    for box in _detect(_PROFILE, np.ascontiguousarray(even[:, ::-1]), 0.1):
        face = _assumed(box).mapped(to_picture @ mirror)
        faces.append(replace(face, left_eye=face.right_eye, right_eye=face.left_eye))
    return sorted(faces, key=lambda face: -face.box_side)


def _assumed(box: _Box) -> Face:
    (left, height), (right, _) = _USUAL_EYES
    y = box.y + height * box.side
    return Face((box.x + left * box.side, y), (box.x + right * box.side, y), box.side, 0, False)


def sees_face(crop: Picture) -> bool:
    """Tell whether a crop, RGB uint8 [S, S, 3], shows a face, from the front or in profile.

    It says yes much more easily than `find_faces`: use it where a face was found before.
    """
    gray, _ = _working_copy(crop)
    if any(_detect(name, gray, 0.25) for name in (_FRONTAL[1], _PROFILE)):
        return True
    return bool(_detect(_PROFILE, np.ascontiguousarray(gray[:, ::-1]), 0.25))


def _working_copy(image: Picture) -> tuple[Gray, Doubles]:
    """Return a grey copy of limited size with a border, and the 3 x 3 map from its pixels to the picture's."""
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    small = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    border = round(_PADDING * max(small.shape))
    # A face that fills the picture is detected only with some room around it.
    padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
    sx, sy = width / small.shape[1], height / small.shape[0]
    back = np.array([[sx, 0, -border * sx], [0, sy, -border * sy], [0, 0, 1]])
    return np.asarray(padded, np.uint8), back


def _rotate(gray: Gray, degrees: float) -> tuple[Gray, Doubles]:
    """Rotate the picture about its centre; return it with the 3 x 3 map back."""
    if degrees == 0.0:
        return gray, np.eye(3)
    height, width = gray.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turned = cv2.warpAffine(gray, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8), np.vstack([cv2.invertAffineTransform(turn), [0, 0, 1]])


def _faces_upright(gray: Gray, smallest: float) -> Steps[list[Face]]:
    even = np.asarray(cv2.equalizeHist(gray), np.uint8)
    groups: list[dict[str, _Box]] = []
    for name in _FRONTAL:
        yield LOOKING
        for box in _detect(name, even, smallest):
            group = next((g for g in groups if any(box.overlap(b) > 0.4 for b in g.values())), None)
            if group is None:
                groups.append({name: box})
            else:
                group.setdefault(name, box)
    faces = []
    for group in groups:
        yield LOOKING
        faces.append(_confirm(gray, list(group.values())))
    return [face for face in faces if face is not None]


def _confirm(gray: Gray, group: list[_Box]) -> Face | None:
    """Return the face of boxes that agree; None when neither votes nor eyes support it."""
    side = float(np.mean([box.side for box in group]))
    box = _Box(float(np.mean([b.x for b in group])), float(np.mean([b.y for b in group])), side)
    eyes = _find_eyes(gray, box)
    if eyes is None and len(group) < len(_FRONTAL):
        return None
    left, right = eyes or _USUAL_EYES
    return Face(
        (box.x + left[0] * side, box.y + left[1] * side),
        (box.x + right[0] * side, box.y + right[1] * side),
        side,
        len(group),
        eyes is not None,
    )


def _find_eyes(gray: Gray, box: _Box) -> tuple[Point, Point] | None:
    """Return both eye centres in fractions of the box, or None."""
    x, y, side = max(0, round(box.x)), max(0, round(box.y)), round(box.side)
    patch = gray[y : y + side, x : x + side]
    if min(patch.shape) < 16:
        return None
    resized = np.asarray(
        cv2.resize(patch, (_FACE_PATCH, _FACE_PATCH), interpolation=cv2.INTER_CUBIC), np.uint8
    )
    for name in _EYES:
        pair = _best_pair(_detect(name, resized, 0.12))
        if pair is not None:
            return pair
    return None


def _best_pair(boxes: list[_Box]) -> tuple[Point, Point] | None:
    """Return the two boxes that are placed like eyes: one in each half, in the upper part, almost level."""
    centers = [((b.x + b.side / 2) / _FACE_PATCH, (b.y + b.side / 2) / _FACE_PATCH) for b in boxes]
    pairs = [
        (left, right)
        for left in centers
        for right in centers
        if 0.15 < left[0] < 0.48 < 0.52 < right[0] < 0.85
        and 0.25 < left[1] < 0.52
        and 0.25 < right[1] < 0.52
        and abs(left[1] - right[1]) < 0.35 * (right[0] - left[0])
        and 0.28 < right[0] - left[0] < 0.6
    ]
    return min(pairs, key=_unusual, default=None)


def _unusual(pair: tuple[Point, Point]) -> float:
    return sum(math.dist(eye, usual) for eye, usual in zip(pair, _USUAL_EYES, strict=True))


def _detect(name: str, gray: Gray, smallest: float) -> list[_Box]:
    size = max(20, round(smallest * max(gray.shape)))
    with _CASCADE_LOCK:
        boxes = _cascade(name).detectMultiScale(gray, scaleFactor=1.08, minNeighbors=4, minSize=(size, size))
    return [_Box(float(x), float(y), float(w)) for x, y, w, _ in boxes]


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.__file__).parent / "data" / f"haarcascade_{name}.xml"
    # Python reads the file, because OpenCV cannot open paths with accents on every system.
    storage = cv2.FileStorage(
        path.read_text(encoding="utf-8"), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY
    )
    cascade = cv2.CascadeClassifier()
    if not cascade.read(storage.getFirstTopLevelNode()):
        raise RuntimeError(f"OpenCV's cascade {name} could not be read")
    return cascade
