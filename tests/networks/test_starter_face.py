"""The bundle that ships: what a person sees on a real photo. A worse training run fails here."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.bundles import Bundle
from edtalk_server.bundles.load import find
from edtalk_server.engine.engine import Engine
from edtalk_server.engine.tensors import to_pictures, to_tensor
from edtalk_server.evaluation.metrics.image_distance import psnr
from edtalk_server.evaluation.metrics.landmarks import face_measures
from edtalk_server.media.faces import portrait
from edtalk_server.media.faces.detection import find_faces
from shared_protocol.messages import Crop

ASTRONAUT = Path(__file__).parents[2] / "../shared/data/astronaut.png"
Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def starter() -> Bundle:
    torch.set_num_threads(1)
    return bundles.load("starter")


@pytest.fixture(scope="module")
def photo(starter: Bundle) -> Picture:
    if not ASTRONAUT.is_file():
        pytest.skip("the astronaut's photo is not here")
    image = portrait.load_portrait(ASTRONAUT)
    crop = portrait.crop_around(image, find_faces(image)[0])
    return portrait.cut(image, crop, starter.face.size)


def _moved(starter: Bundle, photo: Picture, **change: float) -> Picture:
    """The photo with some of its own weights changed."""
    with torch.no_grad():
        prepared = starter.face.prepare(to_tensor(photo[None]))
        weights = starter.face.weights_of(to_tensor(photo[None]))
        for name, amount in change.items():
            weights[0, starter.layout.index(name)] += amount
        return to_pictures(starter.face.decode(prepared, weights))[0]


def _measures(starter: Bundle, picture: Picture) -> dict[str, float]:
    with torch.no_grad():
        points = starter.face.cropped_landmarks_of(to_tensor(picture[None]))  # type: ignore[attr-defined]
    return face_measures(points[0].numpy(), len(picture))


def _change(a: Picture, b: Picture) -> npt.NDArray[np.float64]:
    return np.asarray(np.abs(a.astype(float) - b.astype(float)).mean(2))


def test_the_shipped_bundle_is_small_free_and_complete(starter: Bundle) -> None:
    folder = find("starter")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 24 * 2**20
    assert starter.manifest.licence == "CC0-1.0"
    assert starter.audio_to_lip is not None
    assert "CC0" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert set(starter.manifest.presets) == {
        "angry",
        "contempt",
        "disgusted",
        "fear",
        "happy",
        "neutral",
        "sad",
        "surprised",
    }


def test_an_unmoved_photo_stays_as_it_is(starter: Bundle, photo: Picture) -> None:
    assert np.array_equal(_moved(starter, photo), photo)


def test_opening_the_jaw_opens_the_mouth_and_leaves_eyes_and_background(
    starter: Bundle, photo: Picture
) -> None:
    opened = _moved(starter, photo, jaw_open=0.6)
    gap = _measures(starter, opened)["mouth_gap"] - _measures(starter, photo)["mouth_gap"]
    assert gap > 5
    change = _change(opened, photo)
    assert change[165:215, 105:170].mean() > 10
    assert change[:120].mean() < 4


def test_closing_lids_and_smiling_are_seen(starter: Bundle, photo: Picture) -> None:
    blink = _change(_moved(starter, photo, blink_left=1.0, blink_right=1.0), photo)
    assert blink[100:128, 85:180].mean() > 3 * blink[160:].mean()
    wide = _measures(starter, _moved(starter, photo, smile=-0.7))["mouth_width"]
    assert _measures(starter, photo)["mouth_width"] - wide > 3


@pytest.mark.parametrize(("yaw", "direction"), [(0.8, 1), (-0.8, -1)])
def test_the_head_turns_to_the_side_that_was_asked_for(
    starter: Bundle, photo: Picture, yaw: float, direction: int
) -> None:
    turned = _measures(starter, _moved(starter, photo, yaw=yaw))["nose_x"]
    assert (turned - _measures(starter, photo)["nose_x"]) * direction > 8


def test_talking_does_not_blur_the_person(starter: Bundle, photo: Picture) -> None:
    talking = _moved(starter, photo, jaw_open=0.3, pucker=0.3)
    upper = np.s_[:140]
    assert psnr(talking[upper], photo[upper]) > 30


def test_the_reader_sees_that_the_astronaut_smiles(starter: Bundle, photo: Picture) -> None:
    with torch.no_grad():
        weights = starter.face.weights_of(to_tensor(photo[None]))[0]
    assert weights[starter.layout.index("smile")] > 0.4
    assert abs(float(weights[starter.layout.index("yaw")])) < 0.5


def test_careless_crops_are_found_again(starter: Bundle) -> None:
    """The landmarks of a rough crop lead to nearly the same crop as those of a good one."""
    if not ASTRONAUT.is_file():
        pytest.skip("the astronaut's photo is not here")
    image = portrait.load_portrait(ASTRONAUT)
    crop = portrait.crop_around(image, find_faces(image)[0])

    def points(side: float, shift: float) -> npt.NDArray[np.float64]:
        from dataclasses import replace

        rough = replace(crop, side=crop.side * side, center_x=crop.center_x + shift * crop.side)
        picture = portrait.cut(image, rough, 128)
        with torch.no_grad():
            found = starter.face.landmarks_of(to_tensor(picture[None]))[0].numpy()  # type: ignore[attr-defined]
        corner = np.array([rough.center_x, rough.center_y]) - rough.side / 2
        return np.asarray((found * rough.side + corner) / crop.side)  # roll is small: compared loosely below

    good = points(1.0, 0.0)
    for side, shift in ((1.3, 0.0), (1.0, 0.12), (0.85, -0.08)):
        assert np.linalg.norm(points(side, shift) - good, axis=1).mean() < 0.06


def test_a_source_tells_where_the_parts_of_the_face_are(starter: Bundle, photo: Picture) -> None:
    source = Engine.open(starter, "cpu").prepare(photo, Crop(128.0, 128.0, 256.0))
    points = np.reshape(source.landmarks, (68, 2)) * 256
    eyes, mouth, chin = points[36:48].mean(axis=0), points[48:60].mean(axis=0), points[8]
    assert eyes == pytest.approx((136, 120), abs=8)
    assert mouth == pytest.approx((137, 178), abs=10)
    assert 205 < chin[1] < 235
