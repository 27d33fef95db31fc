"""A portrait: read the file, find the square around the face, cut it out.

This is the project's only crop rule. It follows the official framing (EDTalk `crop_image2`): in the crop, landmarks
0-46 fit the template of `template.py`, so the eyes are at 44 % of the height and the chin at 88 %.

Coordinates of a `Crop` are continuous: the picture spans [0, W] x [0, H], so pixel 0 has its centre at 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from edtalk_server.arrays import Doubles, Floats, Picture
from edtalk_server.media.faces.crop import fit_similarity
from edtalk_server.media.faces.detection import Face
from edtalk_server.media.faces.template import FITTED_POINTS, TEMPLATE68, TEMPLATE_SIZE
from edtalk_server.media.pictures.load import load_picture
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

LandmarkDetector = Callable[[Picture], Floats]
"""A rough crop uint8 [128, 128, 3] -> 68 landmarks float32 [68, 2], (x, y) in fractions of its side."""

LANDMARK_CROP_SIZE = 128
"""Side in pixels of a landmark detector's input."""
_MAX_CROP_SIDES = 16
"""Largest side of a crop, in larger sides of the picture."""
_OVERSAMPLING = 4
"""Samples per pixel and direction of a crop, at most, before they are averaged."""
_GREY = np.float32(128.0)
"""What transparent parts show."""
_ROWS = 64
"""Rows that are converted at once, so that large pictures need little memory beside themselves."""

# The middle between the template's eyes, and their distance, in fractions of the side.
_EYES_X, _EYES_Y = (TEMPLATE68[36:48].reshape(2, 6, 2).mean(axis=(0, 1)) + 0.5) / TEMPLATE_SIZE
_EYE_DISTANCE = float(np.ptp(TEMPLATE68[36:48].reshape(2, 6, 2).mean(axis=1)[:, 0])) / TEMPLATE_SIZE
_REFINEMENTS = 3
"""How often landmarks refine a crop: from half the size and a fifth of a side off, they arrive."""
_NUDGES = ((1.15, 0.05, 0.04, 0.12), (0.87, -0.05, -0.04, -0.12))
"""Crops around a found one from which a face's landmarks are found again: growth, shift in sides, turn in radians."""
_SURE_ROLL = 0.11
"""Radians: by more than this, landmarks of a face that looks to the side tilt it; the line of its eyes does not."""
_ALL_VOTES = 3
_SMALLEST_KEPT, _LARGEST_SHIFT = 0.65, 0.15
"""How far a crop shrinks, and by how many sides it moves, to stay inside its picture."""
_SIDE_PER_BOX = 1.75
"""Side of the crop over the side of the cascades' box, for faces whose eyes were not detected."""


def load_portrait(source: Path | str | bytes) -> Picture:
    """Read a picture file as `load_picture` does, transparent parts over grey: RGB uint8 [H, W, 3].

    Raises `EDTalkError`: `IMAGE_UNREADABLE` (missing, no picture, damaged), `TOO_LARGE` (100 megapixels).
    """
    return over_grey(load_picture(source))


def over_grey(picture: Picture) -> Picture:
    """Return a picture [H, W, 3 or 4] without alpha: its transparent parts show grey."""
    if picture.shape[2] == 3:
        return picture
    flat = np.empty((*picture.shape[:2], 3), np.uint8)
    for top in range(0, len(picture), _ROWS):
        part = picture[top : top + _ROWS].astype(np.float32)
        mixed = _GREY + (part[..., :3] - _GREY) * (part[..., 3:] / np.float32(255.0))
        flat[top : top + _ROWS] = np.rint(mixed)
    return flat


def crop_around(image: Picture, face: Face, landmark_detector: LandmarkDetector | None = None) -> Crop:
    """Return the square around one face of a picture.

    Without a `landmark_detector`, or where its landmarks disagree (see `fitted_crop`), the eyes decide.
    """
    crop = fitted_crop(image, face, landmark_detector) if landmark_detector is not None else None
    return crop or _rough_crop(face)


def fitted_crop(image: Picture, face: Face, landmark_detector: LandmarkDetector) -> Crop | None:
    """Return the square in which the landmarks around a face fit the template; None where there is no face.

    The similarity that maps the template's points 0-46 to the landmarks refines the detector's crop, which may even lie
    on nose and mouth alone. Landmarks of a face are found at the same place from crops around it, those of anything
    else are not; a face whose eyes all detectors saw may be less clear, and then its eyes decide.
    """
    rough = _rough_crop(face)
    crop = rough
    for _ in range(_REFINEMENTS):
        crop = _refined(image, crop, landmark_detector)
    nudged = [_refined(image, _nudged(crop, nudge), landmark_detector) for nudge in _NUDGES]
    if _agree([crop, *nudged], 1.0) and _is_same_face(crop, rough):
        is_turned_by_side_view = face.eyes_seen and _turn(crop, rough) > _SURE_ROLL
        return replace(crop, roll=rough.roll) if is_turned_by_side_view else crop
    is_clear = face.eyes_seen and face.votes >= _ALL_VOTES
    return rough if is_clear and _agree([crop, *nudged], 2.0) else None


def kept_inside(image: Picture, crop: Crop) -> Crop:
    """Return a crop that reaches beyond its picture moved and made smaller so that it lies inside, as far as a face in
    it stays near its usual place and size: what the picture lacks would be streaks that drag."""
    height, width = image.shape[:2]
    spread = abs(math.cos(crop.roll)) + abs(math.sin(crop.roll))
    side = max(_SMALLEST_KEPT * crop.side, min(crop.side, width / spread, height / spread))
    reach, most = side * spread / 2, _LARGEST_SHIFT * crop.side

    def inside(center: float, length: int) -> float:
        nearest = min(max(center, reach), length - reach) if 2 * reach < length else length / 2
        return min(max(nearest, center - most), center + most)

    return Crop(inside(crop.center_x, width), inside(crop.center_y, height), side, crop.roll)


def _rough_crop(face: Face) -> Crop:
    """Return the crop that puts the eyes where the template has them."""
    from_box = _SIDE_PER_BOX * face.box_side
    # A turned head brings the eyes together, so the size also depends on the box.
    side = 0.75 * face.eye_distance / _EYE_DISTANCE + 0.25 * from_box if face.eyes_seen else from_box
    roll = face.roll if face.eyes_seen else 0.0
    x, y = (0.5 - float(_EYES_X)) * side, (0.5 - float(_EYES_Y)) * side
    return Crop(
        face.middle[0] + x * math.cos(roll) - y * math.sin(roll),
        face.middle[1] + x * math.sin(roll) + y * math.cos(roll),
        side,
        roll,
    )


def _refined(image: Picture, crop: Crop, landmark_detector: LandmarkDetector) -> Crop:
    """Return the crop that the landmarks in this one ask for."""
    points = np.asarray(landmark_detector(cut(image, crop, LANDMARK_CROP_SIZE)), dtype=np.float64)
    return _crop_of_landmarks(points, crop)


def _nudged(crop: Crop, nudge: tuple[float, float, float, float]) -> Crop:
    """Return a crop beside this one: larger by a factor, moved by parts of its side, turned by radians."""
    growth, right, down, turn = nudge
    return Crop(
        crop.center_x + right * crop.side,
        crop.center_y + down * crop.side,
        crop.side * growth,
        crop.roll + turn,
    )


def _crop_of_landmarks(points: Doubles, crop: Crop) -> Crop:
    """Return the crop in which these landmarks [68, 2] (fractions of `crop`) fit the template."""
    matrix = crop_matrix(crop, 1)
    template = (TEMPLATE68[:FITTED_POINTS].astype(np.float64) + 0.5) / TEMPLATE_SIZE
    in_picture = points[:FITTED_POINTS] @ matrix[:, :2].T + matrix[:, 2]
    fitted = fit_similarity(template, in_picture)
    center = fitted[:2, :2] @ (0.5, 0.5) + fitted[:2, 2]
    return Crop(
        float(center[0]),
        float(center[1]),
        math.hypot(fitted[0, 0], fitted[1, 0]),
        math.atan2(fitted[1, 0], fitted[0, 0]),
    )


def _agree(crops: Sequence[Crop], tolerance: float) -> bool:
    """Tell whether all crops are the first one, within so many times what is usual for a face."""
    first, *others = crops
    return all(
        abs(math.log(other.side / first.side)) < 0.15 * tolerance
        and _distance(other, first) < 0.05 * tolerance * first.side
        and _turn(other, first) < 0.2 * tolerance
        for other in others
    )


def _is_same_face(crop: Crop, rough: Crop) -> bool:
    """Tell whether landmarks still mean the detector's face: its box may be half of it."""
    is_like = abs(math.log(crop.side / rough.side)) < 0.9 and _turn(crop, rough) < 0.6
    return is_like and _distance(crop, rough) < 0.4 * max(crop.side, rough.side)


def _distance(crop: Crop, other: Crop) -> float:
    return math.hypot(crop.center_x - other.center_x, crop.center_y - other.center_y)


def _turn(crop: Crop, other: Crop) -> float:
    return abs(math.remainder(crop.roll - other.roll, 2 * math.pi))


def crop_matrix(crop: Crop, size: int) -> Doubles:
    """Return the affine map [2, 3] from the crop, a square of `size`, to the picture; continuous coordinates."""
    step = crop.side / size
    linear = step * np.array(
        [[math.cos(crop.roll), -math.sin(crop.roll)], [math.sin(crop.roll), math.cos(crop.roll)]]
    )
    center = np.array([crop.center_x, crop.center_y])
    return np.column_stack([linear, center - linear @ np.full(2, size / 2)])


def paste_matrix(crop: Crop, size: int) -> Doubles:
    """Return the inverse of `crop_matrix`, from the picture to the crop [2, 3], for pasting a frame back."""
    return np.asarray(cv2.invertAffineTransform(crop_matrix(crop, size)), dtype=np.float64)


def cut(image: Picture, crop: Crop, size: int) -> Picture:
    """Cut out the crop as uint8 [size, size, 3], averaged if the picture is finer; edges are repeated outside it.

    Raises `EDTalkError(IMAGE_UNREADABLE)` for a crop without extent, or one far larger than the picture.
    """
    finite = math.isfinite(crop.side + crop.center_x + crop.center_y + crop.roll)
    if not (finite and 0 < crop.side <= _MAX_CROP_SIDES * max(image.shape[:2])):
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            "The crop of the portrait has no extent, or is far larger than the picture.",
            "Reset it to find the face again.",
        )
    reduced, crop = _reduce(image, crop, _OVERSAMPLING * size)
    fine = size * min(_OVERSAMPLING, max(1, math.ceil(crop.side / size)))
    sampled = cv2.warpAffine(
        reduced,
        _between_pixel_centers(crop_matrix(crop, fine)),
        (fine, fine),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if fine == size:
        return np.asarray(sampled, np.uint8)
    return np.asarray(cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _between_pixel_centers(matrix: Doubles) -> Doubles:
    """Convert a continuous map for OpenCV, whose coordinates are pixel centres."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.full(2, 0.5) - 0.5
    return shifted


def _reduce(image: Picture, crop: Crop, side: int) -> tuple[Picture, Crop]:
    """Scale picture and crop down together until the crop has at most `side` pixels, to save memory."""
    if crop.side <= side:
        return image, crop
    height, width = image.shape[:2]
    target = (max(1, round(width * side / crop.side)), max(1, round(height * side / crop.side)))
    scale = (target[0] / width + target[1] / height) / 2
    small = np.asarray(cv2.resize(image, target, interpolation=cv2.INTER_AREA), np.uint8)
    return small, Crop(crop.center_x * scale, crop.center_y * scale, crop.side * scale, crop.roll)
