"""A portrait is read as people see it, and its face is found and framed; what cannot be used says why."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edtalk_server.engine import Engine
from edtalk_server.media.faces.detection import find_faces
from edtalk_server.media.faces.portrait import (
    _NUDGES,
    LandmarkDetector,
    _nudged,
    crop_around,
    crop_matrix,
    cut,
    fitted_crop,
    kept_inside,
    load_portrait,
    paste_matrix,
)
from edtalk_server.media.faces.template import TEMPLATE68, TEMPLATE_SIZE
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop


@pytest.fixture(scope="module")
def astronaut(shared: Path) -> np.ndarray:
    return load_portrait(shared / "data" / "astronaut.png")


def _file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _found(picture: np.ndarray, landmark_detector: LandmarkDetector | None = None) -> Crop:
    """The crop around the picture's largest face."""
    return crop_around(picture, find_faces(picture)[0], landmark_detector)


def _eyes_in_crop(crop: Crop, eyes: npt.ArrayLike) -> np.ndarray:
    """Eye centres of the picture, in pixels of a 256-pixel crop."""
    back = paste_matrix(crop, TEMPLATE_SIZE)
    return np.array(eyes) @ back[:, :2].T + back[:, 2]


ASTRONAUT_EYES = ((203.0, 101.5), (248.0, 104.0))
TEMPLATE_EYES = ((106.3, 112.7), (165.2, 113.3))


def test_the_face_of_a_real_photo_is_framed_like_the_official_crops(astronaut: np.ndarray) -> None:
    crop = _found(astronaut)
    assert np.abs(_eyes_in_crop(crop, ASTRONAUT_EYES) - TEMPLATE_EYES).max() < 8


def test_a_tilted_head_is_turned_upright(astronaut: np.ndarray) -> None:
    turn = cv2.getRotationMatrix2D((256, 256), 25, 1.0)
    crop = _found(np.asarray(cv2.warpAffine(astronaut, turn, (512, 512)), np.uint8))
    eyes = np.array(ASTRONAUT_EYES) @ turn[:, :2].T + turn[:, 2]
    assert np.abs(_eyes_in_crop(crop, eyes) - TEMPLATE_EYES).max() < 9


def test_landmarks_make_the_crop_exact(astronaut: np.ndarray) -> None:
    """With a perfect landmark_detector the template's points meet the landmarks, however the detector erred."""
    truth = Crop(220.0, 113.0, 190.0, 0.03)
    matrix = crop_matrix(truth, TEMPLATE_SIZE)
    in_picture = (TEMPLATE68 + 0.5) @ matrix[:, :2].T + matrix[:, 2]

    class PerfectLandmarker:
        """Finds the crop it is shown by trying; here we simply know which one was cut."""

        crops = iter((_found(astronaut), truth, truth, *(_nudged(truth, nudge) for nudge in _NUDGES)))

        def __call__(self, picture: np.ndarray) -> np.ndarray:
            assert picture.shape == (128, 128, 3)
            back = paste_matrix(next(self.crops), 1)
            return (in_picture @ back[:, :2].T + back[:, 2]).astype(np.float32)

    crop = _found(astronaut, PerfectLandmarker())
    assert math.hypot(crop.center_x - truth.center_x, crop.center_y - truth.center_y) < 0.05
    assert abs(crop.side - truth.side) < 0.05
    assert abs(crop.roll - truth.roll) < 1e-3


def test_a_landmarker_that_turns_a_face_whose_eyes_are_seen_is_not_believed(astronaut: np.ndarray) -> None:
    plain = _found(astronaut)
    upright = (TEMPLATE68 + 0.5) / TEMPLATE_SIZE - 0.5
    turn = np.array([[math.cos(0.2), -math.sin(0.2)], [math.sin(0.2), math.cos(0.2)]])
    crop = _found(astronaut, lambda _: (upright @ turn.T + 0.5).astype(np.float32))
    assert crop == plain


def test_nonsense_from_the_landmarker_is_not_believed(astronaut: np.ndarray) -> None:
    plain = _found(astronaut)
    crop = _found(astronaut, lambda _: np.random.default_rng(0).random((68, 2), np.float32))
    assert crop == plain


def test_what_landmarks_do_not_confirm_is_no_face(astronaut: np.ndarray) -> None:
    """A single doubtful box, and landmarks that lie elsewhere in each crop around it."""
    (face,) = find_faces(astronaut)[:1]
    everywhere = np.random.default_rng(0)
    assert (
        fitted_crop(astronaut, replace(face, votes=1), lambda _: everywhere.random((68, 2), np.float32))
        is None
    )


def test_a_box_on_nose_and_mouth_alone_grows_to_the_face(shared: Path) -> None:
    astronaut = load_portrait(shared / "data" / "astronaut.png")
    detector = Engine.open("starter", "cpu").landmark_detector()
    assert detector is not None
    (face,) = find_faces(astronaut)[:1]
    truth = fitted_crop(astronaut, face, detector)
    (left, right), side = (face.left_eye, face.right_eye), face.box_side
    low = replace(
        face,
        left_eye=(left[0] + 0.12 * side, left[1] + 0.3 * side),
        right_eye=(right[0] - 0.12 * side, right[1] + 0.3 * side),
        box_side=0.55 * side,
        eyes_seen=False,
    )
    found = fitted_crop(astronaut, low, detector)
    assert truth is not None and found is not None
    assert abs(found.side / truth.side - 1) < 0.05
    assert math.hypot(found.center_x - truth.center_x, found.center_y - truth.center_y) < 0.03 * truth.side


def test_a_crop_stays_in_its_picture_as_far_as_the_face_keeps_its_place() -> None:
    picture = np.zeros((100, 120, 3), np.uint8)
    assert kept_inside(picture, Crop(60, 50, 90, 0.0)) == Crop(60, 50, 90, 0.0)
    assert kept_inside(picture, Crop(40, 50, 90, 0.0)) == Crop(45, 50, 90, 0.0), "moved"
    assert kept_inside(picture, Crop(60, 55, 110, 0.0)) == Crop(60, 50, 100, 0.0), "made smaller"
    far = kept_inside(picture, Crop(0, 50, 200, 0.0))
    assert far.side == 130 and far.center_x == 30, "no further than a face can lie beside its place"


def test_a_cut_is_the_picture_seen_through_the_crop() -> None:
    y, x = np.mgrid[0:300, 0:400]
    ramp = np.stack([x * 0.6, y * 0.8, np.full_like(x, 7.0)], axis=-1).round().astype(np.uint8)
    crop = Crop(200.0, 150.0, 120.0, 0.3)
    for size in (32, 60, 240):
        matrix = crop_matrix(crop, size)
        v, u = np.mgrid[0:size, 0:size]
        place = np.stack([u + 0.5, v + 0.5], axis=-1) @ matrix[:, :2].T + matrix[:, 2] - 0.5
        expected = np.stack([place[..., 0] * 0.6, place[..., 1] * 0.8], axis=-1)
        inside = (slice(2, -2), slice(2, -2))
        assert np.abs(cut(ramp, crop, size)[inside][..., :2] - expected[inside]).max() < 1.2


def test_shrinking_averages_fine_detail() -> None:
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    small = cut(stripes, Crop(512.0, 512.0, 1000.0, 0.0), 50)
    assert np.abs(small.astype(int) - 127).max() <= 8


def test_beyond_the_picture_its_edge_goes_on() -> None:
    picture = np.full((50, 50, 3), 90, np.uint8)
    assert (cut(picture, Crop(0.0, 0.0, 80.0, 0.5), 64) == 90).all()


@pytest.mark.parametrize("side", [0.0, -5.0, float("nan"), float("inf"), 1e9, 1e300])
def test_a_crop_without_extent_or_larger_than_memory_is_refused(side: float) -> None:
    with pytest.raises(EDTalkError, match="crop"):
        cut(np.zeros((9, 9, 3), np.uint8), Crop(1.0, 1.0, side, 0.0), 8)


def test_a_crop_far_wider_than_a_narrow_picture_needs_little_memory() -> None:
    picture = np.full((1, 20_000, 3), 90, np.uint8)
    assert (cut(picture, Crop(10_000.0, 0.5, 200_000.0, 0.0), 256) == 90).all()


def test_pasting_is_the_inverse_of_cutting() -> None:
    crop = Crop(31.0, 72.0, 55.0, -0.4)
    there, back = (np.vstack([m(crop, 256), [0, 0, 1]]) for m in (crop_matrix, paste_matrix))
    assert np.allclose(there @ back, np.eye(3))


def test_a_photo_from_a_phone_is_turned_as_its_exif_says() -> None:
    image = Image.new("RGB", (30, 20), "red")
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert load_portrait(_file(image, "JPEG", exif=exif)).shape == (30, 20, 3)


def test_transparent_parts_become_grey_and_16_bits_become_8() -> None:
    clear = load_portrait(_file(Image.new("RGBA", (8, 8), (255, 0, 0, 0))))
    assert (clear == 128).all()
    deep = Image.fromarray(np.full((8, 8), 65535 // 2, np.uint16))
    assert (load_portrait(_file(deep)) == 127).all()
    assert load_portrait(_file(Image.new("P", (8, 8)))).shape == (8, 8, 3)
    assert load_portrait(_file(Image.new("CMYK", (8, 8)), "JPEG")).shape == (8, 8, 3)


def test_a_text_file_named_png_is_called_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "portrait.png"
    path.write_text("This is not a picture.")
    with pytest.raises(EDTalkError) as caught:
        load_portrait(path)
    assert caught.value.code == ErrorCode.IMAGE_UNREADABLE
    assert "portrait.png" in caught.value.cause
    assert "text" in caught.value.cause


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(40), b"\xff\xd8\xff" + bytes(100)])
def test_empty_and_damaged_pictures_are_named(data: bytes) -> None:
    with pytest.raises(EDTalkError) as caught:
        load_portrait(data)
    assert caught.value.code == ErrorCode.IMAGE_UNREADABLE


def test_half_a_picture_is_damaged(shared: Path) -> None:
    data = (shared / "data" / "astronaut.png").read_bytes()
    with pytest.raises(EDTalkError) as caught:
        load_portrait(data[: len(data) // 2])
    assert caught.value.code == ErrorCode.IMAGE_UNREADABLE


def test_a_missing_file_and_a_huge_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError) as caught:
        load_portrait(tmp_path / "nowhere.png")
    assert caught.value.code == ErrorCode.IMAGE_UNREADABLE
    with pytest.raises(EDTalkError) as caught:
        load_portrait(_file(Image.new("1", (20_000, 20_000))))
    assert caught.value.code == ErrorCode.TOO_LARGE
