"""A portrait: read the file, find the square around the face, cut it out.

This is the project's only crop rule. It follows the official framing (EDTalk `crop_image2`): in the crop, landmarks
0-46 fit the template of `template.py`, so the eyes are at 44 % of the height and the chin at 88 %.

Coordinates of a `Crop` are continuous: the picture spans [0, W] x [0, H], so pixel 0 has its centre at 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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

    Without a `landmark_detector` the eyes decide. With one, the crop is refined twice by the similarity that maps the
    template's points 0-46 to the landmarks; an implausible result leaves the crop as it was.
    """
    crop = _rough_crop(face)
    return crop if landmark_detector is None else _refine(image, crop, landmark_detector, face.eyes_seen)


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


def _refine(image: Picture, rough: Crop, landmark_detector: LandmarkDetector, eyes_seen: bool) -> Crop:
    crop = rough
    for _ in range(2):
        points = np.asarray(landmark_detector(cut(image, crop, LANDMARK_CROP_SIZE)), dtype=np.float64)
        better = _crop_of_landmarks(points, crop)
        if not _plausible(better, rough, eyes_seen):
            return rough
        crop = better
    return crop


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


def _plausible(crop: Crop, rough: Crop, eyes_seen: bool) -> bool:
    """Tell whether landmarks agree with the detector: closely if it saw the eyes, else as far as its box allows."""
    growth, shift, turn = (0.14, 0.06, 0.11) if eyes_seen else (0.35, 0.2, 0.45)
    moved = math.hypot(crop.center_x - rough.center_x, crop.center_y - rough.center_y)
    turned = abs(math.remainder(crop.roll - rough.roll, 2 * math.pi))
    return abs(math.log(crop.side / rough.side)) < growth and moved < shift * rough.side and turned < turn


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
