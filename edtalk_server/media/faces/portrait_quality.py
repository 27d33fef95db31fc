"""The quality of a portrait, before anything is rendered: its faces, the crop to use, and advice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Picture
from edtalk_server.media.faces.detection import Face, find_faces, find_profiles
from edtalk_server.media.faces.portrait import (
    LandmarkDetector,
    crop_around,
    crop_matrix,
    cut,
    fitted_crop,
    kept_inside,
    paste_matrix,
)
from edtalk_server.media.faces.template import TEMPLATE68, TEMPLATE_SIZE
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop


class Verdict(StrEnum):
    """The words of `messages.Inspected`, the most serious first."""

    NO_FACE = "no_face"
    TURNED = "turned"
    CUT_OFF = "cut_off"
    TOO_SMALL = "too_small"
    SEVERAL_FACES = "several_faces"
    GOOD = "good"


TurnEstimator = Callable[[Picture, Crop], float]
"""Picture and crop of a face -> signed degrees by which the head is turned to the side."""

SMALL_CROP = 160
"""Side of a crop in pixels below which frames are visibly blurred."""
MAX_TURN = 22.0
"""Degrees to the side beyond which half of the face is invented."""
_DEGREES_PER_NOSE = 101.0
"""Degrees of turn by which the tip of the nose moves along the line through the outer corners of the eyes by their
distance (fitted to renders from -40 to 40 degrees; 5 degrees off on average)."""
PROFILE_TURN = 60.0
"""Degrees reported for a face that only the profile detector sees."""

_PATCH_SIZE, _PATCH_SIDES = 256, 1.4
"""Side of the picture in which a crop's surroundings are examined: in pixels, and in sides of the crop."""
_SMALLEST = 0.12
"""Smallest face in the patch, in sides of it; the crop does not mean smaller ones."""
_MIN_FILL = 0.6
"""Smallest side of a face's best crop, in sides of the chosen crop."""
_FACE_CORNERS = (np.array([TEMPLATE68.min(axis=0), TEMPLATE68.max(axis=0)], np.float64) + 0.5) / TEMPLATE_SIZE
"""Top left and bottom right of the face in its crop, in fractions of it."""


@dataclass(frozen=True)
class Finding:
    """One observation about a portrait, in a sentence or two that say what to do. `GOOD` ones only inform."""

    verdict: Verdict
    text: str


@dataclass(frozen=True)
class QualityReport:
    """The `crop` to use (or the assessed one), the head's turn in degrees (0: unknown), and findings, worst first."""

    crop: Crop
    turned: float
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict of the most serious finding."""
        return self.findings[0].verdict if self.findings else Verdict.GOOD

    @property
    def advice(self) -> str:
        """What to do about the verdict; empty when the portrait is good."""
        return "" if self.verdict is Verdict.GOOD else self.findings[0].text

    @property
    def notes(self) -> tuple[str, ...]:
        """The texts of all findings."""
        return tuple(finding.text for finding in self.findings)


@dataclass(frozen=True)
class Inspection:
    """A portrait of `width` x `height` pixels: a crop for each face, the largest first, and its quality."""

    width: int
    height: int
    faces: tuple[Crop, ...]
    quality: QualityReport


def turn_of_landmarks(points: npt.ArrayLike) -> float:
    """Return by how many degrees a head with these landmarks [68, 2] looks to the side of the picture, right positive.

    It asks how far the tip of the nose lies from the middle between the eyes' outer corners.
    """
    landmarks = np.asarray(points, np.float64)
    left, right, tip = landmarks[36], landmarks[45], landmarks[30]
    across = right - left
    length = max(float(across @ across), 1e-9)
    return float((tip - (left + right) / 2) @ across / length) * _DEGREES_PER_NOSE


def assess_portrait(
    image: Picture,
    faces: Sequence[Face],
    landmark_detector: LandmarkDetector | None,
    turn_of: TurnEstimator | None,
) -> QualityReport:
    """Assess a picture whose faces `find_faces` has found: the largest one counts.

    Without a face, faces that look to the side are tried; without these, the crop is the largest square.
    """
    found = _faces_with_crops(image, faces, landmark_detector)
    if found:
        best = found[0][1]
        turned = turn_of(image, best) if turn_of else 0.0
        crop = kept_inside(image, best)
        others = _about_others([face for face, _ in found])
        return _report(crop, turned, [*others, *_about_place(image, crop, best), *_about_size(crop)])
    if profiles := find_profiles(image):
        return _report(crop_around(image, profiles[0]), PROFILE_TURN, [])
    height, width = image.shape[:2]
    text = (
        "No face was found: put the crop on it by hand, the eyes a little above its middle and the chin near its "
        "lower edge, or use a picture of a face from the front."
    )
    whole = Crop(width / 2, height / 2, float(min(width, height)), 0.0)
    return _report(whole, 0.0, [Finding(Verdict.NO_FACE, text)])


def _faces_with_crops(
    image: Picture, faces: Sequence[Face], landmark_detector: LandmarkDetector | None
) -> list[tuple[Face, Crop]]:
    """Return the faces that landmarks confirm, with their crops: what else a detector takes for a face is left out."""
    if landmark_detector is None:
        return [(face, crop_around(image, face)) for face in faces]
    fitted = [(face, fitted_crop(image, face, landmark_detector)) for face in faces]
    return [(face, crop) for face, crop in fitted if crop is not None]


def assess_crop(
    image: Picture, crop: Crop, landmark_detector: LandmarkDetector | None, turn_of: TurnEstimator | None
) -> QualityReport:
    """Assess a crop that somebody chose; only its surroundings are examined.

    Raises `EDTalkError(IMAGE_UNREADABLE)` for a crop without extent.
    """
    around = Crop(crop.center_x, crop.center_y, crop.side * _PATCH_SIDES, crop.roll)
    patch = cut(image, around, _PATCH_SIZE)
    back = crop_matrix(around, _PATCH_SIZE)
    faces = [face.mapped(back) for face in find_faces(patch, _SMALLEST)]
    if face := _inside(crop, faces):
        best = crop_around(image, face, landmark_detector)
        turned = turn_of(image, best) if turn_of else 0.0
        return _report(
            crop, turned, [*_about_fit(crop, best), *_about_place(image, crop, crop), *_about_size(best)]
        )
    if _inside(crop, [face.mapped(back) for face in find_profiles(patch)]):
        return _report(crop, PROFILE_TURN, [])
    text = "No face was found in the crop: move it onto the face, the eyes a little above its middle."
    return _report(crop, 0.0, [Finding(Verdict.NO_FACE, text)])


def no_face() -> EDTalkError:
    """Return the error for a portrait without a face."""
    return EDTalkError(
        ErrorCode.NO_FACE,
        "No face was found in the portrait.",
        "Use a picture of one face from the front, well lit and not covered, or set the crop by hand.",
    )


def rough_crops(image: Picture, faces: Sequence[Face]) -> tuple[Crop, ...]:
    """Return a crop for each face, from the detector alone."""
    return tuple(crop_around(image, face) for face in faces)


def _report(crop: Crop, turned: float, findings: list[Finding]) -> QualityReport:
    if abs(turned) > MAX_TURN:
        text = f"The head looks about {abs(turned):.0f} degrees to the side: use a picture from the front."
        findings.append(Finding(Verdict.TURNED, text))
    if abs(crop.roll) > math.radians(15):
        text = (
            f"The head is tilted by {abs(math.degrees(crop.roll)):.0f} degrees; the crop is tilted with it."
        )
        findings.append(Finding(Verdict.GOOD, text))
    order = list(Verdict)
    return QualityReport(
        crop, turned, tuple(sorted(findings, key=lambda finding: order.index(finding.verdict)))
    )


def _inside(crop: Crop, faces: Sequence[Face]) -> Face | None:
    """Return the face nearest to the crop's centre whose eyes are in it."""
    to_crop = paste_matrix(crop, 1)

    def distance(face: Face) -> float:
        return float(np.abs(to_crop @ (*face.middle, 1.0) - 0.5).max())

    nearest = min(faces, key=distance, default=None)
    return nearest if nearest is not None and distance(nearest) < 0.5 else None


def _about_others(faces: Sequence[Face]) -> list[Finding]:
    count = sum(face.box_side > 0.4 * faces[0].box_side for face in faces)
    if count < 2:
        return []
    text = f"{count} faces were found and the largest is used: set the crop to choose another."
    return [Finding(Verdict.SEVERAL_FACES, text)]


def _about_place(image: Picture, crop: Crop, best: Crop) -> list[Finding]:
    """Report how the crop, and the face whose usual crop is `best`, lie in the picture."""
    size = np.array([image.shape[1], image.shape[0]])

    def beyond(square: Crop, corners: Doubles) -> float:
        places = _corners(corners) @ crop_matrix(square, 1)[:, :2].T + crop_matrix(square, 1)[:, 2]
        return float(np.maximum(-places, places - size).max()) / square.side

    outside = beyond(crop, np.array([(0.0, 0.0), (1.0, 1.0)]))
    if beyond(best, _FACE_CORNERS) > 0.02 or outside > 0.25:
        text = "The edge of the picture cuts off the face: use a picture that shows the whole head."
        return [Finding(Verdict.CUT_OFF, text)]
    if outside > 0.03:
        text = "The face is close to the edge of the picture; the missing part is filled from the edge."
        return [Finding(Verdict.GOOD, text)]
    return []


def _about_fit(crop: Crop, best: Crop) -> list[Finding]:
    """Report how a face with a known best crop lies in the chosen crop."""
    places = _corners(_FACE_CORNERS) @ crop_matrix(best, 1)[:, :2].T + crop_matrix(best, 1)[:, 2]
    in_crop = places @ paste_matrix(crop, 1)[:, :2].T + paste_matrix(crop, 1)[:, 2]
    if float(np.abs(in_crop - 0.5).max()) > 0.52:
        text = "The crop cuts off the face: enlarge or move it until everything from the brows to the chin is inside."
        return [Finding(Verdict.CUT_OFF, text)]
    if best.side < _MIN_FILL * crop.side:
        text = (
            f"The face fills too little of the crop: make the crop smaller, about {best.side:.0f} pixels "
            f"instead of {crop.side:.0f}."
        )
        return [Finding(Verdict.TOO_SMALL, text)]
    return []


def _about_size(crop: Crop) -> list[Finding]:
    if crop.side >= SMALL_CROP:
        return []
    text = (
        f"The face is small ({crop.side:.0f} pixels, {SMALL_CROP} or more are good), so frames will be blurred: "
        "use a larger picture."
    )
    return [Finding(Verdict.TOO_SMALL, text)]


def _corners(two: Doubles) -> Doubles:
    """Return the four corners [4, 2] of the box between two of them."""
    (left, top), (right, bottom) = two
    return np.array([(left, top), (right, top), (left, bottom), (right, bottom)])
