"""The face goes back into the whole portrait: nothing else changes, no seam shows, and at rest it is the portrait."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from edtalk_server.media.faces.detection import find_faces
from edtalk_server.media.faces.paste import Plate, bounded
from edtalk_server.media.faces.portrait import crop_matrix, cut, load_portrait
from edtalk_server.media.output_spec import DEFAULT_OUTPUT, Levels, OutputSpec, Picture, linear_light_of_bytes
from shared_protocol.messages import Crop

SIZE = 256


@pytest.fixture(scope="module")
def astronaut(shared: Path) -> Picture:
    return load_portrait(shared / "data" / "astronaut.png")


CROPS = {
    "as found": Crop(218.45, 112.18, 187.15, 0.055),
    "tilted": Crop(218.45, 112.18, 187.15, 0.7),
    "large": Crop(240.0, 220.0, 430.0, -0.2),
    "beyond the picture": Crop(60.0, 40.0, 200.0, 0.3),
    "tiny": Crop(218.0, 112.0, 60.0, 0.0),
}


def plate_of(picture: Picture, crop: Crop) -> tuple[Plate, Levels]:
    """A plate, and the face at rest: what a faithful network draws."""
    rest = cut(picture, crop, SIZE * math.ceil(crop.side / SIZE)).astype(np.float32)
    return Plate.make(picture, crop, rest), rest


def inside(picture: Picture, crop: Crop) -> np.ndarray:
    """Which pixels have their centre in the crop."""
    matrix = np.vstack([crop_matrix(crop, 1), [0, 0, 1]])
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]] + 0.5
    u, v, _ = np.linalg.inv(matrix) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return ((np.abs(u - 0.5) < 0.5) & (np.abs(v - 0.5) < 0.5)).reshape(x.shape)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("name", CROPS)
def test_at_rest_the_full_frame_is_the_portrait(astronaut: Picture, name: str) -> None:
    crop = CROPS[name]
    plate, rest = plate_of(astronaut, crop)
    full, within = plate.picture(rest, DEFAULT_OUTPUT), inside(astronaut, crop)
    assert np.array_equal(full[~within], astronaut[~within])
    assert psnr(full[within], astronaut[within]) > 45


@pytest.mark.parametrize("name", CROPS)
def test_whatever_the_face_does_nothing_changes_outside_the_crop(astronaut: Picture, name: str) -> None:
    crop = CROPS[name]
    plate, rest = plate_of(astronaut, crop)
    full, within = plate.picture(255.0 - rest, DEFAULT_OUTPUT), inside(astronaut, crop)
    assert np.array_equal(full[~within], astronaut[~within])
    assert np.abs(full[within].astype(int) - astronaut[within]).max() > 50


def test_a_face_lands_where_it_was_cut_also_when_the_crop_is_tilted(astronaut: Picture) -> None:
    crop = CROPS["tilted"]
    plate, rest = plate_of(astronaut, crop)
    marked = rest.copy()
    marked[120:136, 160:176] = (0.0, 255.0, 0.0)
    full = plate.picture(marked, DEFAULT_OUTPUT)
    x, y = crop_matrix(crop, SIZE) @ (168.0, 128.0, 1.0)
    changed = np.abs(full.astype(int) - astronaut).sum(axis=2) > 60
    rows, columns = np.nonzero(changed)
    assert abs(columns.mean() + 0.5 - x) < 0.7 and abs(rows.mean() + 0.5 - y) < 0.7


def test_a_network_that_is_a_little_off_in_colour_leaves_no_seam(astronaut: Picture) -> None:
    """Its rest picture is brighter and redder; the colour match takes that away, at rest and in every frame."""
    crop = CROPS["as found"]
    rest = cut(astronaut, crop, SIZE).astype(np.float32)
    tinted = rest * np.float32(0.9) + np.array([22.0, 8.0, 4.0], np.float32)
    plate = Plate.make(astronaut, crop, tinted)
    assert psnr(plate.picture(tinted, DEFAULT_OUTPUT), astronaut) > 45
    moved = tinted.copy()
    moved[100:150, 100:150] = 60.0
    difference = plate.picture(moved, DEFAULT_OUTPUT).astype(int) - astronaut
    untouched = np.ones(astronaut.shape[:2], bool)
    untouched[80:150, 180:240] = False
    assert np.abs(difference[untouched]).mean() < 0.5


def test_brightness_does_not_pump_when_the_face_changes(astronaut: Picture) -> None:
    """A frame changes where the face changes, by what it changes; the rest of the picture stays as it was."""
    plate, rest = plate_of(astronaut, CROPS["as found"])
    dark = rest.copy()
    dark[170:200, 110:160] = 0.0
    before, after = plate.picture(rest, DEFAULT_OUTPUT), plate.picture(dark, DEFAULT_OUTPUT)
    changed = np.nonzero((before != after).any(axis=2))
    for axis, center in ((0, 0), (1, 1)):
        assert np.ptp(changed[axis]) < 60, center


def test_the_edge_of_a_changed_face_is_soft(astronaut: Picture) -> None:
    pale = (astronaut // 2 + 50).astype(np.uint8)
    plate, rest = plate_of(pale, CROPS["as found"])
    change = plate.picture(rest + 40.0, DEFAULT_OUTPUT).astype(int) - plate.picture(rest, DEFAULT_OUTPUT)
    assert change.max() >= 39
    for axis in (0, 1):
        assert np.abs(np.diff(change, axis=axis)).max() <= 6, "40 levels are spread over the soft edge"


def test_a_full_frame_in_exr_is_the_portrait_in_linear_light(astronaut: Picture) -> None:
    plate, rest = plate_of(astronaut, CROPS["as found"])
    deep = plate.picture(rest, OutputSpec(deep=True))
    assert deep.dtype == np.float16
    within = inside(astronaut, CROPS["as found"])
    assert np.array_equal(deep[~within], linear_light_of_bytes(astronaut)[~within])
    assert np.abs(deep.astype(np.float32) - linear_light_of_bytes(astronaut)).mean() < 1e-3


@pytest.mark.parametrize("deep", [False, True])
def test_the_matte_lies_where_the_face_was_pasted(astronaut: Picture, deep: bool) -> None:
    crop = CROPS["tilted"]
    plate, rest = plate_of(astronaut, crop)
    cut_out = plate.picture(255.0 - rest, OutputSpec(alpha=True, deep=deep))
    plain = plate.picture(255.0 - rest, OutputSpec(deep=deep))
    assert np.array_equal(cut_out[..., :3], plain), "straight alpha: the colours are whole"
    alpha, within = cut_out[..., 3].astype(np.float64) / (1 if deep else 255), inside(astronaut, crop)
    assert (alpha[~within] == 0).all()
    assert alpha[112, 218] == 1
    assert 0.5 < alpha[within].mean() < 0.95


def test_large_portraits_are_bounded_with_their_crop() -> None:
    portrait = np.zeros((3000, 6000, 3), np.uint8)
    cv2.circle(portrait, (4500, 1000), 60, (255, 255, 255), -1)
    small, crop = bounded(portrait, Crop(4500.5, 1000.5, 800.0, 0.2), 4096)
    assert small.shape == (2048, 4096, 3)
    rows, columns = np.nonzero(small[..., 0] > 127)
    assert abs(columns.mean() + 0.5 - crop.center_x) < 0.5 and abs(rows.mean() + 0.5 - crop.center_y) < 0.5
    assert crop.side == pytest.approx(800 * 4096 / 6000) and crop.roll == 0.2
    same, unchanged = bounded(small, crop, 4096)
    assert same is small and unchanged == crop


def test_the_eyes_stay_where_they_are(astronaut: Picture) -> None:
    """After cutting and pasting, a face detector sees the same face."""
    plate, rest = plate_of(astronaut, CROPS["as found"])
    before, after = find_faces(astronaut)[0], find_faces(plate.picture(rest * 0.97, DEFAULT_OUTPUT))[0]
    assert np.abs(np.subtract(before.middle, after.middle)).max() < 1.5
